"""Wakes the listeners of a conversation, here and in other processes, when something happens.

News may be lost without harm: a listener that gets it looks for what is new.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.conf import settings

from ..core import conf
from ..events.models import Event
from . import telling

# Batches that wait for one listener; if there are more, it reads the log instead.
_MOST_BATCHES = 20
_MOST_BYTES = 256 * 1024

_listeners: defaultdict[Hashable, set[Listener]] = defaultdict(set)


class Listener:
    """A place to wait for news of one conversation."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._look = True
        self._batches: list[Sequence[Event]] = []
        self._bytes = 0
        self.context = contextvars.copy_context()
        self.seen = 0
        """The version that whoever listens has."""
        _listeners[key].add(self)

    async def wait(self, seconds: float | None) -> None:
        """Wait for news, at most `seconds`; news since the last wait counts."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            self._look = True
        self._news.clear()

    def take(self) -> list[Sequence[Event]] | None:
        """Return the batches that this process appended since the last call.

        Returns None if only the log has all that is new.
        """
        look, self._look = self._look, False
        batches, self._batches, self._bytes = self._batches, [], 0
        return None if look else batches

    def wake(self, *, log_changed: bool) -> None:
        """Wake the listener; any thread may call this."""
        self._soon(self._note, log_changed)

    def tell(self, batch: Sequence[Event]) -> None:
        """Give the listener what was appended; any thread may call this."""
        self._soon(self._keep, batch)

    def _soon(self, note: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(note, *arguments)

    def _note(self, log_changed: bool) -> None:
        self._look |= log_changed
        self._news.set()

    def _keep(self, batch: Sequence[Event]) -> None:
        self._batches.append(batch)
        self._bytes += sum(len(event.payload or "") for event in batch)
        if len(self._batches) > _MOST_BATCHES or self._bytes > _MOST_BYTES:
            self._batches.clear()  # The client does not read now; it reads the log later.
            self._bytes = 0
            self._look = True
        self._news.set()

    def close(self) -> None:
        """Stop listening."""
        _listeners[self.key].discard(self)
        if not _listeners[self.key]:
            del _listeners[self.key]


def wake(key: Hashable, *, log_changed: bool = False) -> None:
    """Wake each listener of a conversation in this process."""
    for listener in list(_listeners.get(key, ())):
        listener.wake(log_changed=log_changed)


def followed() -> dict[Place, contextvars.Context]:
    """Return the conversations that somebody listens to in this process, each with the context of
    one who does."""
    return {
        key: next(iter(listeners)).context
        for key, listeners in _listeners.items()
        if isinstance(key, int | tuple)
    }


def wake_behind(place: Place, version: int) -> None:
    """Wake the listeners that do not have this version yet."""
    for listener in list(_listeners.get(place, ())):
        if listener.seen < version:
            listener.wake(log_changed=True)


Place = int | tuple[str, int]
"""A conversation's number; with TURNLOG["TENANT"], the tenant and the number."""


def place_of(stream_id: int) -> Place:
    """Return what finds a conversation in this process: tenants' numbers are each their own."""
    tenant = conf.tenant()
    return (tenant, stream_id) if tenant else stream_id


def tenant_of(key: Hashable) -> str:
    """Return the tenant of what somebody listens to; empty for what has none."""
    return key[0] if isinstance(key, tuple) else ""


def stream_of(place: Place) -> int:
    """Return the number of the conversation at a place."""
    return place if isinstance(place, int) else place[1]


def announce(events: Sequence[Event]) -> None:
    """Receiver of the log's after_commit: inform this process and the others."""
    place, version = place_of(events[-1].stream_id), events[-1].version
    for listener in list(_listeners.get(place, ())):
        listener.tell(events)
    if layer := shared_layer():
        telling.teller.tell(layer, group_of(place), version)


def shared_layer() -> Any:
    """Return the channel layer, if there is one that reaches other processes."""
    if not getattr(settings, "CHANNEL_LAYERS", None):
        return None  # This runs after every commit, and Channels takes longer to find out.
    layer = get_channel_layer()
    return None if isinstance(layer, InMemoryChannelLayer) else layer


def group_of(place: Place) -> str:
    """Return the name of a conversation's group in the channel layer."""
    return f"turnlog.{place}" if isinstance(place, int) else f"turnlog.{place[0]}.{place[1]}"
