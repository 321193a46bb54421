"""The threads that tools have in a process. No person has all of them.

A thread cannot be stopped: one whose tool never ends is gone until the process ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from weakref import WeakKeyDictionary, WeakValueDictionary

_THREADS = 64
"""Threads that tools may have at once in a process, those that never end included."""
_SHARE = 16
"""Those of one person."""
_SECONDS = 10.0
"""How long a call waits for a thread. Its tool's own time begins afterwards."""

person: ContextVar[Hashable] = ContextVar("turnlog_person", default=None)
"""Whose turn it is. Turns of nobody's share one share."""


class _Threads:
    """Those of one event loop."""

    def __init__(self) -> None:
        self.all = asyncio.Semaphore(_THREADS)
        # Kept for as long as somebody waits for it or has a thread of it.
        self.shares: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()


_threads: WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = WeakKeyDictionary()


async def take() -> Callable[[], None] | None:
    """Wait until this person's tool may have a thread. Return what gives it back; None if none was
    free in time."""
    threads = _threads.setdefault(asyncio.get_running_loop(), _Threads())
    share = threads.shares.setdefault(person.get(), asyncio.Semaphore(_SHARE))
    try:
        async with asyncio.timeout(_SECONDS):
            # The share first: who waits for it must not keep a thread from the others.
            await share.acquire()
            try:
                await threads.all.acquire()
            except BaseException:
                share.release()
                raise
    except TimeoutError:
        return None

    def give_back() -> None:
        threads.all.release()
        share.release()

    return give_back
