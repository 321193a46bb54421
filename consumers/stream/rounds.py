"""Looks after the streams of this process every few seconds, all of them at once.

Who logged out or lost a permission is sent away, who does not read is cut off, and who is not where
the log is reads it again. A few statements for all streams of a tenant.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from django.db.models import OuterRef, Subquery

from ...core.faults import is_passing
from ...events.models import Conversation, Event
from ...events.tables.database import log_database
from .. import failures
from ..review.access import may_review, sees_everybody
from ..socket.access import is_session_of, stored_sessions, users
from .cursor import BEGINNING, Cursor, cursor_at, cursor_of
from .lists import conversations_between, list_head
from .manager import LogChannelManager
from .waking import Stream
from .waking import streams as open_streams

logger = logging.getLogger("turnlog")

SECONDS = 5.0
LIST_SECONDS = 1.0
SEND_SECONDS = 20.0
"""How long a client may leave a message unread."""
_AT_ONCE = 500
"""Streams that are looked after with the same statements."""


async def look_after() -> None:
    """Run while streams are open in this process."""
    while open_streams:
        await asyncio.sleep(SECONDS)
        _cut_off()
        await _each_group(list(open_streams), _look_at, "streams are not looked after")


async def look_at_lists() -> None:
    """Run while somebody follows a list: wake those whose list has changed."""
    last: dict[str, Cursor] = {}
    while open_lists := [each for each in open_streams if _lists(each)]:
        await _each_group(open_lists, partial(_look_at_lists, last), "lists are not looked after")
        await asyncio.sleep(LIST_SECONDS)


def _cut_off() -> None:
    now = time.monotonic()
    for each in list(open_streams):
        if each.waits_since is not None and now - each.waits_since > SEND_SECONDS:
            # What waits for this client costs memory, and the client gets it when it comes back.
            logger.info("a client that does not read was cut off")
            each.cut()


_away: set[str] = set()


async def _each_group(
    open_now: Iterable[Stream],
    look: Callable[[Sequence[Stream]], Awaitable[None]],
    what: str,
) -> None:
    """Look at streams of one tenant at a time, in the context of one of them."""
    tenants: defaultdict[str, list[Stream]] = defaultdict(list)
    for each in open_now:
        tenants[_tenant(each)].append(each)
    for streams in tenants.values():
        for begin in range(0, len(streams), _AT_ONCE):
            try:
                await look(streams[begin : begin + _AT_ONCE])
                _away.discard(what)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look comes
                if what not in _away:
                    logger.warning("%s: %s", what, failures.where(error))
                _away.add(what)


def _tenant(stream: Stream) -> str:
    return next((channel.tenant for channel in stream.ours.values()), "")


async def _look_at(streams: Sequence[Stream]) -> None:
    ended, behind = await streams[0].in_context(partial(_found, streams))
    for each in ended:
        each.forbid()
    for each, name in behind:
        each.look(name)


def _found(streams: Sequence[Stream]) -> tuple[list[Stream], list[tuple[Stream, str]]]:
    """Return the streams that must end, and those that are not where their conversation is."""
    people = users().in_bulk({each.user.pk for each in streams if each.user is not None})
    keys = {each.session_key for each in streams if each.session_key is not None}
    sessions = stored_sessions(keys)
    pks = {channel.stream_id for each in streams for channel in each.ours.values()} - {None}
    using = log_database()
    last = Event.objects.using(using).filter(stream_id=OuterRef("pk")).order_by("-version")
    rows = Conversation.objects.using(using).annotate(
        head=Subquery(last.values("version")[:1]), head_hash=Subquery(last.values("hash")[:1])
    )
    rooms: Mapping[int, Any] = rows.in_bulk(pks)
    manager = LogChannelManager()
    ended: list[Stream] = []
    behind: list[tuple[Stream, str]] = []
    for each in streams:
        person = None if each.user is None else people.get(each.user.pk)
        try:
            stays = _may_stay(each, person, sessions, rooms, manager)
        except Exception as error:  # noqa: BLE001 - a project's rule, or what its session holds
            # One stream's trouble is its own: the others are looked at all the same.
            logger.warning("a stream cannot be looked after: %s", failures.where(error))
            if is_passing(error):
                continue  # Nobody knows: the next round may.
            stays = False
        if not stays:
            ended.append(each)
            continue
        each.user = person
        for name, channel in each.ours.items():
            # Also if it is beyond: the log may have been restored from a backup.
            if channel.stream_id is not None and _cursor(each, name) != _head(
                rooms[channel.stream_id]
            ):
                behind.append((each, name))
    return ended, behind


def _cursor(stream: Stream, name: str) -> Cursor:
    return cursor_of(stream.ids[name] or 0)


def _head(room: Any) -> Cursor:
    return cursor_at(room.head, room.head_hash) if room.head else BEGINNING


def _may_stay(
    stream: Stream,
    person: Any,
    sessions: Mapping[str, Any],
    rooms: Mapping[int, Conversation],
    manager: LogChannelManager,
) -> bool:
    if stream.user is not None and (person is None or not person.is_active):
        return False
    key = stream.session_key
    if key is not None and not (key in sessions and is_session_of(person, sessions[key])):
        return False
    for name in stream.ids:
        channel = stream.ours.get(name)
        if channel is None:
            if not manager.can_read_channel(person, name):
                return False
        elif channel.stream_id is not None:
            room = rooms.get(channel.stream_id)
            if room is None or not may_review(person, room):
                return False
            if channel.only is None and not sees_everybody(person):
                return False
    return True


def _lists(stream: Stream) -> list[str]:
    return [name for name, channel in stream.ours.items() if channel.stream_id is None]


async def _look_at_lists(last: dict[str, Cursor], streams: Sequence[Stream]) -> None:
    tenant = _tenant(streams[0])
    head, changed = await streams[0].in_context(partial(_changed, last.get(tenant), streams))
    last[tenant] = head
    for each in changed:
        each.look(*_lists(each))


def _changed(last: Cursor | None, streams: Sequence[Stream]) -> tuple[Cursor, Sequence[Stream]]:
    """Return where the list is, and the streams whose person may see what happened since."""
    head = list_head()
    if last is None:
        # The first look: something may have happened since they were opened.
        return head, [
            each for each in streams if any(_cursor(each, n) != head for n in _lists(each))
        ]
    if last == head:
        return head, []
    touched = conversations_between(last, head)
    if touched is None:
        return head, streams
    return head, [each for each in streams if _may_see_one(each, touched)]


def _may_see_one(stream: Stream, rooms: Iterable[Conversation]) -> bool:
    try:
        return any(may_review(stream.user, room) for room in rooms)
    except Exception as error:  # noqa: BLE001 - a project's rule may raise anything
        # The others' lists have changed all the same, and this one's own look says what is wrong.
        logger.warning("a list is looked at again: %s", failures.where(error))
        return True
