"""Time travel: a conversation as it was at a version or a time, from the log alone.

    >>> as_of(conversation, version=12).messages
    >>> for state in replay(conversation): ...
    >>> diff(conversation, 12, yesterday).removed

No model and no tool runs again: you see what was recorded. Erasure is timeless: what is erased
today is missing from every past state.
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
    """Return the state of a conversation at a version, at a time or, by default, now.

    `conversation` may be its number. It takes four queries, and reads what was visible then, not
    everything that ever was. Raises MomentError if there is no such moment, UnknownConversation if
    there is no such conversation.
    """
    return _visible(moment_of(_stream(conversation), version, at))


def replay(
    conversation: Conversation | int, until: Moment | None = None
) -> Iterator[ConversationState]:
    """Iterate over each state, from version 1 to `until` (default: the head as it is now).

    The state of version v equals `as_of(conversation, v)`; `state.event` is the event that led to
    it. The iterator reads page by page: you may take states slowly, and stop before the end. Raises
    as `as_of` does, at the call.
    """
    last = _moment(conversation, until)
    return _states(last.stream_id, last.version)


def diff(conversation: Conversation | int, a: Moment, b: Moment) -> Difference:
    """Return what was added and removed from moment `a` to moment `b`, which may be the earlier.

    Raises as `as_of` does.
    """
    return difference(_visible(_moment(conversation, a)), _visible(_moment(conversation, b)))


def _visible(event: Event) -> ConversationState:
    return _state(event, Entries(read_listed(event.stream_id, event.version)))


def _states(stream_id: int, until: int) -> Iterator[ConversationState]:
    listed = MessageList()
    for start in range(0, until, _PAGE):
        # No cursor stays open between two states: on SQLite, it would make the WAL grow.
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
