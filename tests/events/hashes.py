"""The hash chain, computed from what is stored."""

from __future__ import annotations

from turnlog.events.models import Event
from turnlog.events.store.hashing import event_hash


def hash_of(event: Event, previous: bytes) -> bytes:
    """What an event's `hash` must be, after an event whose hash is `previous`."""
    return event_hash(
        previous,
        stream_id=event.stream_id,
        version=event.version,
        type=event.type,
        schema=event.schema,
        turn_id=event.turn_id,
        actor_id=event.actor_id,
        recorded_at=event.recorded_at,
        metadata=event.metadata,
        digest=bytes(event.digest),
    )
