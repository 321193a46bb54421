"""Whether a conversation is under a legal hold: its last HoldPlaced or HoldLifted decides."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Q

from ...core.errors import LegalHold, UnreadableEvent
from ..types import HoldLifted, HoldPlaced, OwnerChanged
from .conversation import rows
from .database import log_database
from .event import Event

HOLDS = (HoldPlaced.__name__, HoldLifted.__name__)


def hold_of(stream_id: int) -> Event | None:
    """The HoldPlaced that is in force; None if there is none."""
    holds = Event.objects.using(log_database()).filter(stream_id=stream_id, type__in=HOLDS)
    last = holds.order_by("-version").first()
    return last if last is not None and last.type == HoldPlaced.__name__ else None


def require_no_hold(stream_id: int) -> None:
    """Raise LegalHold if the conversation is held.

    The answer stays true only while the caller holds the stream's lock.
    """
    hold = hold_of(stream_id)
    if hold is not None:
        raise LegalHold(stream_id, reason_of(hold))


def reason_of(hold: Event) -> str:
    """The reason of a HoldPlaced; empty if it cannot be read. The hold is in force all the same."""
    try:
        return getattr(hold.data, "reason", "")
    except UnreadableEvent:
        return ""


def require_no_hold_of(user_id: Any, actor_id: uuid.UUID | None) -> None:
    """Raise LegalHold if a user owns a held conversation or took part in one.

    Their identity is evidence, too.
    """
    theirs, owned = Q(pk__in=()), Q(user_id=user_id)
    if actor_id is not None:
        theirs, owned = Q(actor_id=actor_id), owned | Q(owner_actor_id=actor_id)
        theirs |= Q(type=OwnerChanged.__name__, payload__contains=str(actor_id))
    events = Event.objects.using(log_database())
    held = events.filter(type__in=HOLDS).order_by("stream_id").values_list("stream_id", flat=True)
    for stream_id in held.distinct():
        owns = rows().filter(owned, pk=stream_id).exists()
        if owns or events.filter(theirs, stream_id=stream_id).exists():
            require_no_hold(stream_id)
