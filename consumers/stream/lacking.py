"""What a client lacks of a channel, if it may have it: read for the person as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django_eventstream.event import Event
from django_eventstream.storage import (
    EventDoesNotExist,
)

from .channels import channel_of, is_ours
from .cursor import cursor_of
from .lists import EVENT as LIST
from .lists import list_changed, list_head
from .manager import LogChannelManager
from .reading import read_after
from .rights import fresh
from .storage import LogStorage, events_of

AT_ONCE = 20
"""Events that are read at once: they wait in memory until their client has read them."""


class Forbidden(Exception):
    """Somebody may not, or no longer, read a channel."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """The next events of a channel and the id after them, None if the channel stores nothing; or
    why to start again from there. `more`: there are others already."""

    events: Sequence[Any]
    id: int | None
    more: bool = False
    reset: str | None = None


def lacking(user: Any, name: str, last: int | None) -> Lacking:
    """Return what comes after an id; without one, nothing but the id of now. Raises Forbidden."""
    manager, storage = LogChannelManager(), LogStorage()
    if not manager.can_read_channel(user, name):
        raise Forbidden
    if not manager.is_channel_reliable(name):
        return Lacking([], None)
    if last is None:
        return Lacking([], storage.get_current_id(name))
    if not is_ours(name):
        return _of_others(storage, name, last)
    channel = channel_of(name)
    if channel.stream_id is None:
        head = list_head()
        changed = list_changed(fresh(user), cursor_of(last), head)
        return Lacking([Event(name, LIST, "{}", id=int(head))] * changed, int(head))
    part = read_after(channel, cursor_of(last), AT_ONCE)
    return Lacking(events_of(name, part), int(part.cursor), part.more, part.reset)


def _of_others(storage: LogStorage, name: str, last: int) -> Lacking:
    try:
        found = storage.get_events(name, last, limit=AT_ONCE + 1)
    except EventDoesNotExist as error:
        return Lacking([], error.current_id, reset="unknown")
    more, events = len(found) > AT_ONCE, found[:AT_ONCE]
    return Lacking(events, events[-1].id if events else last, more)
