"""What reviewers wrote about what is being erased goes with it: it may quote the words."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Set
from typing import NamedTuple

from ...core.errors import UnreadableEvent
from ..beside import found, queue_streams, review_of
from ..tables.database import log_database
from ..tables.event import Event
from ..types import NEVER_ERASED, ItemJudged


class Notes(NamedTuple):
    """Versions of a stream beside the conversations."""

    stream: int
    versions: frozenset[int]


def notes_on(pk: int, turns: Set[uuid.UUID | None], *, everything: bool) -> Notes | None:
    """Return what reviewers wrote about these turns of a conversation, or about all of it; None if
    there is nothing, or nothing any more.

    What cannot be read may be about them.
    """
    stream = found(review_of(pk))
    if stream is None:
        return None
    written = Event.objects.using(log_database()).filter(stream_id=stream, payload__isnull=False)
    about = {str(turn) for turn in turns if turn is not None}
    versions = frozenset(
        event.version
        for event in written.exclude(type__in=NEVER_ERASED).iterator()
        if everything or _is_about(event, about)
    )
    return Notes(stream, versions) if versions else None


def judged(pk: int) -> Iterator[Notes]:
    """Yield what reviewers gave as scores or reasons in queues that have a conversation.

    It is read from the log, not from a projection, which may have lost it: each event of a queue in
    which somebody judged something, also one that cannot be read.
    """
    events = Event.objects.using(log_database()).filter(type=ItemJudged.__name__)
    about = events.filter(payload__contains=f'"conversation":{pk}')
    for stream in queue_streams():
        here = about.filter(stream_id=stream).iterator()
        versions = frozenset(event.version for event in here if _is_of(event, pk))
        if versions:
            yield Notes(stream, versions)


def _is_of(event: Event, pk: int) -> bool:
    try:
        return getattr(event.data, "conversation", None) == pk
    except UnreadableEvent:
        return re.search(rf'"conversation":{pk}\b', event.payload or "") is not None


def _is_about(event: Event, turns: Set[str]) -> bool:
    try:
        return getattr(event.data, "turn", None) in turns
    except UnreadableEvent:
        return True
