"""An event as a client gets it: its envelope, and its payload if that is not too long."""

from __future__ import annotations

import json
from typing import Any

from django.urls import NoReverseMatch, reverse

from ...core.codec.blobs import MARK
from ...core.errors import UnreadableEvent
from ...core.masking.documents import masked
from ...core.wellformed import wellformed
from ...events.models import Event
from ..review.access import Reviewed

LONGEST = 8_000
"""Characters of a payload that is sent. A longer one can be read at its address."""


def shown(event: Event, what: Reviewed | None) -> str:
    """Return an event as JSON, with the words that somebody may have; without any for None.

    `event.short` is its payload, None if that is too long or erased;
    `event.length`, its length, None if it is erased.

    An event of an older schema has today's form, unless its payload is too long.
    """
    short, length = (getattr(event, name) for name in ("short", "length"))
    if short is not None and MARK in short:
        short = None  # Some of its words are blobs.
    event.payload = short
    payload, missing = None, "erased" if length is None else "too_long"
    if short is not None and what is None:
        missing = "withheld"
    elif short is not None:
        try:
            event = event.current
            payload, missing = _masked(json.loads(event.payload or ""), event, what), ""
        except (UnreadableEvent, ValueError, RecursionError):
            missing = "unreadable"
    envelope: dict[str, Any] = {
        "conversation": event.stream_id,
        "version": event.version,
        "type": event.type,
        "schema": event.schema,
        "turn_id": None if event.turn_id is None else str(event.turn_id),
        "actor_id": None if event.actor_id is None else str(event.actor_id),
        "recorded_at": event.recorded_at.isoformat(),
        "payload": payload,
    }
    if missing:
        envelope |= {"missing": missing, "length": length, "address": _address(event)}
    return wellformed(json.dumps(envelope, ensure_ascii=False))


def _masked(payload: Any, event: Event, what: Reviewed | None) -> Any:
    mask = None if what is None else what.mask_for(event.actor_id)
    return payload if mask is None else masked(payload, mask)


def _address(event: Event) -> str | None:
    """Return the page that has all of an event, if the project has the review room."""
    try:
        return reverse("turnlog_review:event", args=[event.stream_id, event.version])
    except NoReverseMatch:
        return None
