"""Wakes the streams of a conversation: one listener for each conversation, whoever follows it.

News comes from appends in this process, from others over the channel layer, and from looking at the
heads every few seconds. Any of it may be lost without harm.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ...core import retrying
from ...events.models import Event
from .. import live
from ..answering import tasks
from ..socket.watching import watch
from ..telling import in_time, warn_of_layer
from .channels import Channel

R = TypeVar("R")

# Groups that are joined at once: a layer may open a connection for each.
_AT_ONCE = 20


class Stream(Protocol):
    """What is woken and looked after: see `Following`."""

    user: Any
    session_key: str | None
    ids: dict[str, int | None]
    ours: Mapping[str, Channel]
    context: contextvars.Context
    waits_since: float | None

    def look(self, *names: str) -> None: ...
    def forbid(self) -> None: ...
    def cut(self) -> None: ...
    async def in_context(self, function: Callable[[], R]) -> R: ...


streams: set[Stream] = set()
"""The streams that are open in this process."""


class _Waker(live.Listener):
    """Wakes the streams that follow one conversation. It keeps nothing of what was appended."""

    def __init__(self, place: live.Place) -> None:
        super().__init__(place)
        self.streams: dict[Stream, str] = {}

    def tell(self, batch: Sequence[Event]) -> None:
        self.seen = max(self.seen, batch[-1].version)
        self._soon(self.wake_streams)

    def wake(self, *, log_changed: bool) -> None:
        if log_changed:  # Not at each word of an answer that is being written.
            self._soon(self.wake_streams)

    def wake_streams(self) -> None:
        for stream, name in self.streams.items():
            stream.look(name)


_wakers: dict[str, _Waker] = {}
"""By the name of the conversation's group in the channel layer."""


def enter(stream: Stream) -> None:
    """Wake a stream from now on."""
    streams.add(stream)
    for name, channel in stream.ours.items():
        if channel.stream_id is None:
            continue
        group = live.group_of(channel.place)
        waker = _wakers.get(group)
        if waker is None:
            # Whoever looks for news does it in this context: it may say whose tables these are.
            waker = _wakers[group] = stream.context.run(_Waker, channel.place)
            _ears.join(group)
        waker.streams[stream] = name
    if _wakers:
        tasks.spawn_once(watch)


def leave(stream: Stream) -> None:
    """Wake a stream no more."""
    streams.discard(stream)
    for channel in stream.ours.values():
        if channel.stream_id is None:
            continue
        group = live.group_of(channel.place)
        waker = _wakers[group]
        waker.streams.pop(stream, None)
        if not waker.streams:
            waker.close()
            del _wakers[group]
            _ears.leave(group)


class _Ears:
    """Hears of appends in other processes, by one channel of the layer for all conversations."""

    def __init__(self) -> None:
        self._layer: Any = None
        self._name = ""

    def join(self, group: str) -> None:
        if self._layer is None:
            self._layer = live.shared_layer()
        if self._layer is not None:
            tasks.spawn_once(_hear)
            if self._name:
                tasks.spawn(self._add(group), tasks.beside)

    def leave(self, group: str) -> None:
        if self._name:
            tasks.spawn(self._discard(group), tasks.beside)

    async def hear(self) -> None:
        while True:
            try:
                self._name = ""
                self._name = await in_time(self._layer.new_channel())
                groups = list(_wakers)
                for begin in range(0, len(groups), _AT_ONCE):
                    few = groups[begin : begin + _AT_ONCE]
                    await asyncio.gather(*map(self._group_add, few))
                for waker in list(_wakers.values()):
                    waker.wake_streams()  # News may have been missed.
                while True:
                    _take(await self._layer.receive(self._name))
            except Exception as error:  # noqa: BLE001 - a transport may raise anything
                warn_of_layer(error)
            await asyncio.sleep(retrying.LAYER_PAUSE)

    async def _group_add(self, group: str) -> None:
        await in_time(self._layer.group_add(group, self._name))

    async def _add(self, group: str) -> None:
        try:
            await self._group_add(group)
        except Exception as error:  # noqa: BLE001 - a transport may raise anything
            warn_of_layer(error)

    async def _discard(self, group: str) -> None:
        if group in _wakers:
            return  # Somebody has come in the meantime.
        try:
            await in_time(self._layer.group_discard(group, self._name))
        except Exception as error:  # noqa: BLE001 - a transport may raise anything
            warn_of_layer(error)


_ears = _Ears()


async def _hear() -> None:
    await _ears.hear()


def _take(message: Any) -> None:
    """Take a message of the layer: whoever reaches it may send anything."""
    if not isinstance(message, dict) or message.get("type") != "turnlog.news":
        return
    group, version = message.get("group"), message.get("version")
    waker = _wakers.get(group) if isinstance(group, str) else None
    if waker is not None and isinstance(version, int) and version > waker.seen:
        waker.wake_streams()
