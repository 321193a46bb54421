"""What a client lacks of a channel, if it may have it: read for the person as they are now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django_eventstream.event import Event
from django_eventstream.storage import EventDoesNotExist

from .channels import Channel, channel_of, is_ours
from .cursor import cursor_of
from .lists import EVENT as LIST
from .lists import list_changed, list_head
from .manager import LogChannelManager
from .reader import Reader
from .reading import Part, head_of, read_after
from .rights import fresh, own_channel, reviewed
from .storage import LogStorage, events_of

VERSION = "version"
"""The name of the messages that say how far a conversation is, without its events."""

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


def lacking(user: Any, name: str, last: int | None, reader: Reader | None) -> Lacking:
    """Return what comes after an id; without one, nothing but the id of now.

    Whoever reads gets words; None: only how far it is. Raises Forbidden.
    """
    if not is_ours(name):
        return _of_others(user, name, last)
    channel, current = channel_of(name), fresh(user)
    if current is None:
        raise Forbidden
    if channel.stream_id is None:
        return _of_list(current, name, channel, last)
    what = reviewed(current, channel)
    if what is None or what.only != channel.only:
        raise Forbidden
    if last is None:
        return Lacking([], int(head_of(channel)))
    part = read_after(channel, cursor_of(last), AT_ONCE, words=reader is not None)
    if not part.events:
        events: Sequence[Any] = []
    elif reader is None:
        events = [_version(name, channel, part)]
    else:
        events = events_of(name, part, reader.shown(current, what))
    return Lacking(events, int(part.cursor), part.more, part.reset)


def _version(name: str, channel: Channel, part: Part) -> Any:
    data = {"channel": channel.asked, "version": part.events[-1].version}
    return Event(name, VERSION, json.dumps(data), id=int(part.cursor))


def _of_list(user: Any, name: str, channel: Channel, last: int | None) -> Lacking:
    if own_channel(user, channel) != channel:
        raise Forbidden
    head = list_head()
    changed = last is not None and list_changed(user, cursor_of(last), head)
    return Lacking([Event(name, LIST, "{}", id=int(head))] * changed, int(head))


def _of_others(user: Any, name: str, last: int | None) -> Lacking:
    manager, storage = LogChannelManager(), LogStorage()
    if not manager.can_read_channel(user, name):
        raise Forbidden
    if not manager.is_channel_reliable(name):
        return Lacking([], None)
    if last is None:
        return Lacking([], storage.get_current_id(name))
    try:
        found = storage.get_events(name, last, limit=AT_ONCE + 1)
    except EventDoesNotExist as error:
        return Lacking([], error.current_id, reset="unknown")
    more, events = len(found) > AT_ONCE, found[:AT_ONCE]
    return Lacking(events, events[-1].id if events else last, more)
