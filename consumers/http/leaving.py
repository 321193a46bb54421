"""Ends the open streams when the server is told to stop.

A server waits for its open responses, and a stream has no end of its own. ASGI says that a server
stops only after that. uvicorn knows it before, as whoever handles the signal; others end their
connections themselves.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from ..answering import tasks

LOOK_SECONDS = 0.5

_streams: set[Callable[[], Coroutine[Any, Any, None]]] = set()


def enter(end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Let `end` be called if the server stops before `leave`."""
    _streams.add(end)
    tasks.spawn_once(_watch)


def leave(end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """The stream has ended."""
    _streams.discard(end)


def is_stopping() -> bool:
    """Return whether the server has been told to stop."""
    handler = signal.getsignal(signal.SIGTERM)
    return bool(getattr(getattr(handler, "__self__", None), "should_exit", False))


async def _watch() -> None:
    while _streams:
        await asyncio.sleep(LOOK_SECONDS)
        if is_stopping():
            for end in list(_streams):
                leave(end)
                tasks.spawn(end(), tasks.beside)
