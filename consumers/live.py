"""Who wants to know that something happened in a conversation, here and in other processes.

The news itself carries nothing that must not be lost: who hears it looks for what is new.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.conf import settings

from ..events.models import Event
from . import failures

logger = logging.getLogger("turnlog")

SEND_SECONDS = 1.0
# Batches that wait for one listener; more are read from the log instead.
_MOST_BATCHES = 20

_listeners: defaultdict[Hashable, set[Listener]] = defaultdict(set)


class Listener:
    """A place to wait for news of one conversation."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._look = True
        self._batches: list[Sequence[Event]] = []
        _listeners[key].add(self)

    async def wait(self, seconds: float | None) -> None:
        """Wait for news, at most so long; news that came meanwhile counts."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            self._look = True
        self._news.clear()

    def take(self) -> list[Sequence[Event]] | None:
        """The batches that this process has appended since the last call; None if what is new can
        only be found in the log."""
        look, self._look = self._look, False
        batches, self._batches = self._batches, []
        return None if look else batches

    def wake(self, *, log_changed: bool) -> None:
        """Tell it, from whatever thread."""
        self._soon(self._note, log_changed)

    def tell(self, batch: Sequence[Event]) -> None:
        """Tell it what has been appended, from whatever thread."""
        self._soon(self._keep, batch)

    def _soon(self, note: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(note, *arguments)

    def _note(self, log_changed: bool) -> None:
        self._look |= log_changed
        self._news.set()

    def _keep(self, batch: Sequence[Event]) -> None:
        self._batches.append(batch)
        if len(self._batches) > _MOST_BATCHES:
            self._batches.clear()  # A client that does not read: it looks at the log later.
            self._look = True
        self._news.set()

    def close(self) -> None:
        """Listen no more."""
        _listeners[self.key].discard(self)
        if not _listeners[self.key]:
            del _listeners[self.key]


def wake(key: Hashable, *, log_changed: bool = False) -> None:
    """Tell every listener of a conversation in this process."""
    for listener in list(_listeners.get(key, ())):
        listener.wake(log_changed=log_changed)


def announce(events: Sequence[Event]) -> None:
    """Receiver of the log's after_commit: tell this process and the others."""
    stream_id, version = events[-1].stream_id, events[-1].version
    for listener in list(_listeners.get(stream_id, ())):
        listener.tell(events)
    if layer := shared_layer():
        news = {"type": "turnlog.news", "version": version}
        async_to_sync(_send)(layer, group_of(stream_id), news)


async def _send(layer: Any, group: str, news: dict[str, Any]) -> None:
    # Whoever records a turn waits for this: not for long.
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await layer.group_send(group, news)
    except Exception as error:  # noqa: BLE001 - whatever the transport raises
        warn_of_layer(error)


def warn_of_layer(error: Exception) -> None:
    """Tell the operator that other processes cannot be told; the chat goes on without them."""
    logger.warning("the channel layer cannot be reached: %s", failures.where(error))


def shared_layer() -> Any:
    """The channel layer, if there is one that reaches other processes."""
    if not getattr(settings, "CHANNEL_LAYERS", None):
        return None  # Asked after every commit: Channels takes longer to find that out.
    layer = get_channel_layer()
    return None if isinstance(layer, InMemoryChannelLayer) else layer


def group_of(stream_id: int) -> str:
    """The channel layer's group of a conversation."""
    return f"turnlog.{stream_id}"
