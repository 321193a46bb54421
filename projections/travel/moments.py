"""Time travel: a conversation as it was at a version or a time, from the log alone.

    >>> as_of(conversation, version=12).messages
    >>> for state in replay(conversation): ...
    >>> diff(conversation, 12, yesterday).removed

Nothing is run again, no model and no tool: what is shown is what was recorded. Erasure is
timeless; what is erased is erased in every past.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from ...events.listed import MessageList, read_listed
from ...events.log import read
from ...events.models import Conversation, Event
from ...events.moments import moment_of
from .states import ConversationState, Difference, Entries, difference

Moment = int | dt.datetime
"""A version, or a time with its zone."""

_PAGE = 1000


def as_of(
    conversation: Conversation | int,
    version: int | None = None,
    at: dt.datetime | None = None,
) -> ConversationState:
    """The conversation (or its number) at a version, at a time, or, with neither, now.

    Three queries, and what was visible then is read, not what ever was. Raises MomentError for a
    moment that there is not, UnknownConversation.
    """
    return _visible(moment_of(_stream(conversation), version, at))


def replay(
    conversation: Conversation | int, until: Moment | None = None
) -> Iterator[ConversationState]:
    """Each state in turn, from version 1 to `until` (default: the head as it is now).

    The one of version v equals `as_of(conversation, v)`; `state.event` is the event that made it.
    Reads as it is iterated over, by pages: states may be taken slowly, and need not all be taken.
    Raises as `as_of` does, at once.
    """
    last = _moment(conversation, until)
    return _states(last.stream_id, last.version)


def diff(conversation: Conversation | int, a: Moment, b: Moment) -> Difference:
    """What was added and what removed from moment `a` to moment `b`, which may be the earlier.

    Raises as `as_of` does.
    """
    return difference(_visible(_moment(conversation, a)), _visible(_moment(conversation, b)))


def _visible(event: Event) -> ConversationState:
    return _state(event, Entries(read_listed(event.stream_id, event.version)))


def _states(stream_id: int, until: int) -> Iterator[ConversationState]:
    listed = MessageList()
    for start in range(0, until, _PAGE):
        # No cursor stays open between two states: on SQLite it would hold up the WAL.
        for event in list(read(stream_id, after=start, until=min(start + _PAGE, until))):
            listed.apply(event)
            yield _state(event, Entries(listed.entries, len(listed.entries)))


def _state(event: Event, entries: Entries) -> ConversationState:
    return ConversationState(event.stream_id, event.version, event.recorded_at, entries, event)


def _moment(conversation: Conversation | int, moment: Moment | None) -> Event:
    if isinstance(moment, dt.datetime):
        return moment_of(_stream(conversation), at=moment)
    return moment_of(_stream(conversation), version=moment)


def _stream(conversation: Conversation | int) -> int:
    return conversation.pk if isinstance(conversation, Conversation) else conversation
