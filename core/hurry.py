"""Connections of turnlog's own threads: they commit by themselves, and may be in a hurry.

Whoever waits for a lock in a thread that everybody needs keeps all others waiting too.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
R = TypeVar("R")

LOCK_MILLISECONDS = 100
"""How long work in a hurry waits for a lock."""


class _Here(threading.local):
    hurried: list[tuple[BaseDatabaseWrapper, Any, int]] | None = None
    """In a hurry: SQLite's connections, and the milliseconds that they waited for a lock before."""
    owned = False


_here = _Here()


def is_hurried() -> bool:
    """Return whether this runs in a thread that everybody needs, and must not wait for a lock."""
    return _here.hurried is not None


def hurried(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function in a hurry: it raises an error for which `is_lock_timeout` holds."""

    @functools.wraps(function)
    def in_a_hurry(*args: P.args, **kwargs: P.kwargs) -> R:
        _here.hurried = []
        for connection in connections.all(initialized_only=True):
            if connection.connection is not None:
                _hurry(connection)
        try:
            return function(*args, **kwargs)
        finally:
            before, _here.hurried = _here.hurried, None
            for connection, raw, milliseconds in before:
                if connection.connection is raw:
                    raw.execute(f"PRAGMA busy_timeout = {milliseconds}")

    return in_a_hurry


def _hurry(connection: BaseDatabaseWrapper) -> None:
    """Let SQLite wait little. PostgreSQL is told with the statement that takes the lock."""
    if _here.hurried is not None and connection.vendor == "sqlite":
        # On the driver's connection: it is no query of the project's, and takes microseconds.
        raw: Any = connection.connection
        [before] = raw.execute("PRAGMA busy_timeout").fetchone()
        raw.execute(f"PRAGMA busy_timeout = {LOCK_MILLISECONDS}")
        _here.hurried.append((connection, raw, before))


@contextmanager
def own_connections() -> Iterator[None]:
    """Let this thread's connections commit by themselves, whatever AUTOCOMMIT says: nobody else is
    there to commit what turnlog's threads and commands do."""
    before, _here.owned = _here.owned, True
    for connection in connections.all(initialized_only=True):
        _own(connection)
    try:
        yield
    finally:
        _here.owned = before


def _own(connection: BaseDatabaseWrapper) -> None:
    if connection.connection is None or connection.in_atomic_block:
        return
    if not connection.get_autocommit():
        connection.set_autocommit(True)


def opened(*, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Receiver of connection_created."""
    if _here.owned:
        _own(connection)
    _hurry(connection)
