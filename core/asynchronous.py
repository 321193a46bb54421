"""The one place where sync database code becomes awaitable.

Channels' `database_sync_to_async` sends all work of a process through one thread, so one slow query
delays all users. turnlog has its own pool of threads. Each thread keeps its connection: with
Django's default settings, opening one for every call would take longer than the call itself.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import functools
import os
import select
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from . import conf, retrying
from .escaped import contained_in_thread
from .faults import is_lock_timeout
from .hurry import hurried, own_connections

P = ParamSpec("P")
R = TypeVar("R")

KEPT_SECONDS = 60.0
"""How long a thread's idle connection can still be used again, if CONN_MAX_AGE is 0."""

_kept: dict[BaseDatabaseWrapper, int] = {}
"""The open connections of turnlog's threads, and the process that opened each. They are closed when
that process ends, and not by the garbage collector, of which psycopg warns."""


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(conf.get().database_threads, thread_name_prefix="turnlog-database")


def in_database_thread(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return an awaitable twin of a sync function that uses the database.

    The await raises what the function raises. Cancelling the await does not stop a query that is
    already running: shield what must be recorded.

    The function may be called again from its beginning: it does not wait long for a lock, because
    it holds a thread that everybody needs. The await waits instead.
    """
    work = contained_in_thread(_with_live_connections(hurried(function)))

    @functools.wraps(function)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        run = sync_to_async(work, thread_sensitive=False, executor=_executor())
        pauses = retrying.LOCKED.pauses()
        while True:
            try:
                return await run(*args, **kwargs)
            except OperationalError as error:
                pause = next(pauses, None)
                if not is_lock_timeout(error) or pause is None:
                    raise
            await asyncio.sleep(pause)

    return twin


def in_slow_thread(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return the same for a function that takes long, or that must not be called again: there are
    two threads for these, which wait for locks as long as the database lets them."""
    work = contained_in_thread(_with_live_connections(function))

    @functools.wraps(function)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        run = sync_to_async(work, thread_sensitive=False, executor=_slow_executor())
        return await run(*args, **kwargs)

    return twin


def in_waiting_thread(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return an awaitable twin of a function that waits for another process, for as long as a
    person waits for an answer, and uses no database. Cancelling the await does not end it."""
    work = contained_in_thread(function)

    @functools.wraps(function)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        run = sync_to_async(work, thread_sensitive=False, executor=_waiting_executor())
        return await run(*args, **kwargs)

    return twin


async def in_thread(function: Callable[[], R]) -> R:
    """Run a function of a project's, which uses no database, in some thread."""
    return await asyncio.to_thread(contained_in_thread(function))


@functools.cache
def _slow_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="turnlog-slow")


@functools.cache
def _waiting_executor() -> ThreadPoolExecutor:
    # One for each sandbox, and four for calls that wait until another one of their place is done.
    return ThreadPoolExecutor(5 * conf.get().sandbox_workers, thread_name_prefix="turnlog-waiting")


@functools.cache
def _heart() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="turnlog-heartbeat")


async def by_heart(function: Callable[[], R]) -> R:
    """Run a function in the heartbeat's own thread: no other work can hold it."""
    work = contained_in_thread(_with_live_connections(function))
    return await sync_to_async(work, thread_sensitive=False, executor=_heart())()


SWITCH_SECONDS = 0.001
"""How long a thread that computes keeps the interpreter while others wait for it."""


@functools.cache
def _renderer() -> ThreadPoolExecutor:
    # Python's own 5 ms are waited at each step of a ping: by the event loop, and by its database
    # thread after each of the driver's calls. A tenth of a second in all, while anything is
    # rendered.
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
    return ThreadPoolExecutor(1, thread_name_prefix="turnlog-rendering")


def in_rendering_thread(function: Callable[P, R]) -> Callable[P, asyncio.Future[R]]:
    """Return a twin of a function that computes for long, to be awaited; calls run in their order.

    There is one such thread: each thread that computes makes the event loop wait for its turn with
    the interpreter, and so everybody else. The function sees the caller's context variables.
    """

    @functools.wraps(function)
    def twin(*args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        # Not by the context alone: asgiref's Locals, such as Django's language, belong to a thread.
        work = contained_in_thread(function)
        run = sync_to_async(work, thread_sensitive=False, executor=_renderer())
        return asyncio.ensure_future(run(*args, **kwargs))

    return twin


def _with_live_connections(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def with_live_connections(*args: P.args, **kwargs: P.kwargs) -> R:
        # Inside the worker: connections belong to the thread that opened them.
        for connection in connections.all(initialized_only=True):
            _require_live(connection)
        try:
            with own_connections(), conf.around_database():
                return function(*args, **kwargs)
        finally:
            for connection in connections.all(initialized_only=True):
                _let_go(connection)

    return with_live_connections


def in_own_thread(function: Callable[[], R]) -> R:
    """Run a function in a thread of its own, on connections of its own, and wait for it.

    It sees the caller's context variables, and does not wait long for a lock.
    """
    context = contextvars.copy_context()

    def work() -> R:
        with closing_connections():
            return context.run(_with_live_connections(hurried(function)))

    with ThreadPoolExecutor(1, thread_name_prefix="turnlog-aside") as thread:
        return thread.submit(work).result()


@contextlib.contextmanager
def closing_connections() -> Iterator[None]:
    """For a thread that ends: close the database connections that it opens, or give them back to
    the project's pool."""
    try:
        yield
    finally:
        connections.close_all()
        for connection in connections.all(initialized_only=True):
            _kept.pop(connection, None)


async def tidy_shared_thread() -> None:
    """Look after the connections of the thread that Django's own async ORM methods work in.

    Only requests do so in Django, and a chat is none: a connection that its server has closed would
    stay there for good, and one of a pool would never be given back. Waits a second at most: other
    work may hold the thread.
    """
    look = sync_to_async(_tidy, thread_sensitive=True)()
    await asyncio.wait({asyncio.ensure_future(look)}, timeout=1.0)


def release_request_thread() -> None:
    """Let go of the thread that Django keeps for a request's sync code, and of its connections.

    A response that is a stream would hold both for as long as it is open. Call this while it is
    being written: middleware is done then. What needs such a thread later gets a new one.
    """
    request = SyncToAsync.thread_sensitive_context.get(None)
    if request is None:
        return  # No request of a server's: this is everybody's thread.
    # asgiref's own table: it has no function for this.
    executor = SyncToAsync.context_to_thread_executor.pop(request, None)
    if executor is not None:
        executor.submit(connections.close_all)
        executor.shutdown(wait=False)


def _tidy() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            _require_live(connection)
            connection.close_if_unusable_or_obsolete()


def _require_live(connection: BaseDatabaseWrapper) -> None:
    """Close a kept connection if the server has closed it or it is too old.

    Django opens it again.
    """
    if connection.connection is None:
        return
    if _has_news(connection) and not connection.is_usable():
        connection.close()
    connection.close_if_unusable_or_obsolete()


def _has_news(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the server sent something unasked, as it does when it closes a connection."""
    raw: Any = connection.connection
    if connection.vendor != "postgresql":
        return False
    if raw.closed:
        return True
    look = select.poll()  # Not select(): it takes no file descriptor above 1,023.
    look.register(raw.fileno(), select.POLLIN)
    return bool(look.poll(0))


def _let_go(connection: BaseDatabaseWrapper) -> None:
    """After a call: keep the connection for the next one, or give it back to the project's pool."""
    ages_at_once = connection.settings_dict["CONN_MAX_AGE"] == 0
    pooled = bool((connection.settings_dict.get("OPTIONS") or {}).get("pool"))
    if ages_at_once and not pooled and connection.connection is not None:
        connection.close_at = time.monotonic() + KEPT_SECONDS
    # This also closes it if the call left it in an error or in another mode.
    connection.close_if_unusable_or_obsolete()
    if connection.connection is None:
        _kept.pop(connection, None)
    else:
        _kept[connection] = os.getpid()


def close_connections() -> None:
    """Close the connections that the threads keep: a test database in use cannot be dropped.

    Any thread may call this, but no call in a database thread may be running.
    """
    for connection in list(_kept):
        if connection.vendor == "postgresql":
            _close(connection)


def _close(connection: BaseDatabaseWrapper) -> None:
    # Not by Django's close(): it belongs to the thread that opened the connection. And not in a
    # child process: its parent still uses the same session.
    if connection.connection is not None and _kept.get(connection) == os.getpid():
        connection.connection.close()


@atexit.register
def _close_all() -> None:
    for connection in list(_kept):
        _close(connection)
