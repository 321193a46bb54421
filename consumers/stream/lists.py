"""The channel of the list of conversations: that somebody's list has changed, not how."""

from __future__ import annotations

from typing import Any

from django.db.models import Max

from ...events.models import Conversation, Position
from ...events.tables.database import log_database
from ...projections.engine.model import Checkpoint
from ..review.access import may_review
from .cursor import BEGINNING, PROOF, Cursor

EVENT = "list"
"""The name of the message that says that the list has changed."""

_PROJECTION = "overview"
_MARK = b"list".ljust(PROOF)
_MOST = 1_000
"""Positions that are looked at; if there are more, the list is said to have changed."""
_CONVERSATIONS = 100


def list_head() -> Cursor:
    """Return how far the list has been made: it is as fresh as the worker."""
    checkpoints = Checkpoint.objects.using(log_database()).filter(name=_PROJECTION)
    position = checkpoints.aggregate(at=Max("position"))["at"]
    return Cursor(position, _MARK) if position else BEGINNING


def list_changed(user: Any, last: Cursor, head: Cursor) -> bool:
    """Return whether something that a user may review happened between two cursors."""
    if last == head:
        return False
    touched = conversations_between(last, head)
    return touched is None or any(may_review(user, each) for each in touched)


def conversations_between(last: Cursor, head: Cursor) -> list[Conversation] | None:
    """Return the conversations that the list has taken in between; None if there are too many."""
    if not 0 <= head.number - last.number <= _MOST:
        return None
    places = Position.objects.using(log_database()).filter(
        position__gt=last.number, position__lte=head.number
    )
    touched = Conversation.objects.using(log_database()).filter(pk__in=places.values("stream_id"))
    found = list(touched[: _CONVERSATIONS + 1])
    return found if len(found) <= _CONVERSATIONS else None
