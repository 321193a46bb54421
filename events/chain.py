"""Turns the facts that are offered to the log into its rows."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core import codec
from .standing import Standing
from .store.hashing import event_hash, payload_digest
from .tables.columns import LOADED
from .tables.event import Event
from .types import EventData


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact offered to the log; what was stored is an `Event`.

    `texts` maps SHA-256 digests in hex to the texts that the fact refers to, and `runner` is the
    process that it names. The log makes sure that both are stored when the event is. `user` is the
    user whose pseudonym goes into the log, if `actor_id` names nobody: it is looked up as the event
    is stored.
    """

    data: EventData
    turn_id: uuid.UUID | None = None
    actor_id: uuid.UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    runner: uuid.UUID | None = None
    user: Any = None


def chained(
    stream_id: int,
    head: Standing,
    offered: Sequence[NewEvent],
    payloads: Sequence[str],
    now: dt.datetime,
    salts: bytes,
) -> list[Event]:
    """Return a batch's rows: numbered, dated, salted (32 bytes each) and chained to the head.

    `payloads` are the facts' payloads as they are stored.
    """
    skew: dict[str, Any] = {}
    if head.recorded_at is not None and now < head.recorded_at:
        # Time never goes back within a stream. If the clock did, the metadata say by how much.
        skew = {"clock_behind": (head.recorded_at - now).total_seconds()}
        now = head.recorded_at
    stored = []
    previous = head.hash
    for number, (event, payload) in enumerate(zip(offered, payloads, strict=True)):
        version = head.version + 1 + number
        type_, schema = type(event.data).__name__, event.data.schema
        # A batch's events mostly share one metadata object.
        if number == 0 or event.metadata is not offered[number - 1].metadata:
            metadata = codec.to_json({**event.metadata, **skew})
        salt = salts[32 * number : 32 * number + 32]
        digest = payload_digest(salt, payload)
        previous = event_hash(
            previous,
            stream_id=stream_id,
            version=version,
            type=type_,
            schema=schema,
            turn_id=event.turn_id,
            actor_id=event.actor_id,
            recorded_at=now,
            metadata=metadata,
            digest=digest,
        )
        row: list[Any] = [None, stream_id, version, type_, schema]
        row += [event.turn_id, event.actor_id, now, payload, metadata, salt, digest, previous]
        # By position, as Django loads rows: naming each field takes twice as long.
        stored.append(Event.from_db(None, LOADED, row))
    return stored
