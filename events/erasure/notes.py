"""What reviewers wrote about what is being erased goes with it: it may quote the words."""

from __future__ import annotations

import uuid
from collections.abc import Set
from typing import NamedTuple

from ..beside import found, review_of
from ..tables.database import log_database
from ..tables.event import Event
from ..types import NEVER_ERASED


class Notes(NamedTuple):
    """Versions of the stream beside a conversation."""

    stream: int
    versions: frozenset[int]


def notes_on(pk: int, turns: Set[uuid.UUID | None], *, everything: bool) -> Notes | None:
    """Return what reviewers wrote about these turns of a conversation, or about all of it; None if
    there is nothing, or nothing any more."""
    stream = found(review_of(pk))
    if stream is None:
        return None
    written = Event.objects.using(log_database()).filter(stream_id=stream, payload__isnull=False)
    about = {str(turn) for turn in turns if turn is not None}
    versions = frozenset(
        event.version
        for event in written.exclude(type__in=NEVER_ERASED).iterator()
        if everything or getattr(event.data, "turn", None) in about
    )
    return Notes(stream, versions) if versions else None
