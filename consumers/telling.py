"""Tells other processes that there is news, over the channel layer, from a thread of its own.

Whoever appends never waits for the layer, wherever they append: in a chat, a view, a command, or a
running event loop. News may be lost without harm: each process also looks by itself.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import threading
from collections.abc import Awaitable
from typing import Any, TypeVar

from . import failures

R = TypeVar("R")

logger = logging.getLogger("turnlog")

SEND_SECONDS = 1.0
"""How long the layer may take for one thing that it is asked for."""
LAST_SECONDS = 2.0
"""How long the end of a process waits for its last news to get out."""
# Conversations whose news waits; what more there is, others find by looking.
_MOST = 10_000


async def in_time(asked: Awaitable[R]) -> R:
    """Await what the layer was asked for. Raises TimeoutError, and anything that it raises."""
    async with asyncio.timeout(SEND_SECONDS):
        return await asked


def warn_of_layer(error: BaseException) -> None:
    """Warn that other processes cannot be reached; the chat continues without them."""
    logger.warning("the channel layer cannot be reached: %s", failures.where(error))


class Teller:
    """Sends each group its newest version. One that waits is overtaken by the next one."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[Any, int]] = {}
        self._changed = threading.Condition()
        self._sending = False
        self._thread: threading.Thread | None = None
        # Both belong to the thread's event loop.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None

    def tell(self, layer: Any, group: str, version: int) -> None:
        """Send a group its newest version soon; returns at once. Any thread may call this."""
        with self._changed:
            if group in self._newest or len(self._newest) < _MOST:
                self._newest[group] = (layer, version)
            if self._thread is None:
                # As a daemon: the end of the process waits for it, but not for ever.
                self._thread = threading.Thread(
                    target=self._work, name="turnlog-telling", daemon=True
                )
                self._thread.start()
            if self._loop is not None and self._news is not None:
                self._loop.call_soon_threadsafe(self._news.set)

    def finish(self, seconds: float) -> bool:
        """Wait until everything is sent, at most `seconds`; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._newest and not self._sending, seconds)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self._send_for_ever())

    async def _send_for_ever(self) -> None:
        news = asyncio.Event()
        with self._changed:
            self._loop, self._news = asyncio.get_running_loop(), news
        while True:
            while (waiting := self._take()) is not None:
                layer, group, version = waiting
                message = {"type": "turnlog.news", "group": group, "version": version}
                try:
                    await in_time(layer.group_send(group, message))
                except BaseException as error:  # noqa: BLE001 - nobody else ends this thread
                    warn_of_layer(error)
                    self._forget()
            await news.wait()
            news.clear()

    def _take(self) -> tuple[Any, str, int] | None:
        with self._changed:
            self._sending = bool(self._newest)
            if not self._newest:
                self._changed.notify_all()
                return None
            group = next(iter(self._newest))  # The one that waits longest.
            layer, version = self._newest.pop(group)
            return layer, group, version

    def _forget(self) -> None:
        """Forget what waits: it would wait for the same layer, each a second."""
        with self._changed:
            self._newest.clear()


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that needs no other threads: at the end of a process there are none."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        return socket.getaddrinfo(host, port, **options)


teller = Teller()


def _begin_anew() -> None:
    global teller
    teller = Teller()


# A process that was forked has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
# A command may end right after its append.
atexit.register(lambda: teller.finish(LAST_SECONDS))
