"""The one place where sync database code becomes awaitable.

Channels' `database_sync_to_async` sends all work of a process through one thread: one slow query
delays everybody. Ours goes through a pool of threads of its own, each with its own connection.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from . import conf

P = ParamSpec("P")
R = TypeVar("R")


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(conf.get().database_threads, thread_name_prefix="turnlog-database")


def in_database_thread(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """An awaitable twin of a sync function that uses the database.

    What the function raises is raised by the await. Cancelling the await does not stop a query
    that is already running: shield what must be recorded.
    """

    @functools.wraps(function)
    def with_live_connections(*args: P.args, **kwargs: P.kwargs) -> R:
        # Inside the worker: connections belong to the thread that opened them.
        close_old_connections()
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    @functools.wraps(function)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        run = sync_to_async(with_live_connections, thread_sensitive=False, executor=_executor())
        return await run(*args, **kwargs)

    return twin
