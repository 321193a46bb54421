"""The append-only log: append to a stream, read a stream, read everything.

An append reads the head, inserts the batch and commits; writers never wait for each other. The
uniqueness of (stream_id, version) decides a race, and the loser reads the head again.
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from ..core import codec
from ..core.errors import ConcurrencyError
from . import hooks
from .store.dialect import dialect_of
from .store.hashing import GENESIS, event_hash, payload_digest
from .store.sequence import sequence
from .tables.columns import LOADED
from .tables.conversation import rows
from .tables.database import log_database
from .tables.event import Event
from .types import ConversationOpened, EventData

MAX_TRIES = 10


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact offered to the log; what was stored is an `Event`."""

    data: EventData
    turn_id: uuid.UUID | None = None
    actor_id: uuid.UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Head(NamedTuple):
    """The last event of a stream, and the last event's type of the turn that was asked about."""

    version: int
    hash: bytes
    recorded_at: dt.datetime | None
    turn_state: str | None


Decision = Callable[[Head], Sequence[NewEvent]]


def append(
    stream_id: int,
    events: Sequence[NewEvent],
    *,
    expected_version: int | None = None,
) -> list[Event]:
    """Append a batch in one transaction with its inline projections: all or nothing.

    Returns the stored events. Raises ConcurrencyError if the stream is not at
    `expected_version`, or if the race for the head was lost ten times.
    """

    def decide(head: Head) -> Sequence[NewEvent]:
        if expected_version is not None and head.version != expected_version:
            raise ConcurrencyError(stream_id, expected_version, head.version)
        return events

    return append_decided(stream_id, decide)


def append_decided(
    stream_id: int, decide: Decision, *, turn_id: uuid.UUID | None = None
) -> list[Event]:
    """Append what `decide` answers to the head it is given, running it again on a lost race.

    `decide` runs inside the transaction, so it may read, and write what is undone with a lost race.
    Nothing is appended when it answers with no events.
    """
    using = log_database()
    head = _Tried(-1, -1)
    for number in range(MAX_TRIES):
        try:
            # Nested in somebody's transaction this is a savepoint; outermost, the transaction
            # itself, so that a lost race begins with a fresh snapshot.
            with transaction.atomic(using=using):
                if number:
                    # Who has lost once waits for the others and keeps them out: it would go on
                    # losing where many write. A statement of its own, for the head must be read
                    # after the wait.
                    with connections[using].cursor() as cursor:
                        dialect_of(connections[using]).lock_streams(cursor, [stream_id])
                return _try_append(stream_id, decide, turn_id, using, head)
        except IntegrityError:
            actual = _current_version(stream_id, using)
            if actual == head.read:
                raise  # Nobody was faster: the error is a real one.
            head.actual = actual
    raise ConcurrencyError(stream_id, head.read, head.actual)


@dataclass
class _Tried:
    read: int
    actual: int


def _try_append(
    stream_id: int, decide: Decision, turn_id: uuid.UUID | None, using: str, tried: _Tried
) -> list[Event]:
    connection = connections[using]
    dialect = dialect_of(connection)
    with dialect.cursor(connection) as cursor:
        version, hash_, recorded_at, state = dialect.read_head(cursor, stream_id, turn_id)
        head = Head(version or 0, bytes(hash_ or GENESIS), recorded_at, state)
        tried.read = head.version
        offered = decide(head)
        if not offered:
            return []
        if head.version == 0 and not isinstance(offered[0].data, ConversationOpened):
            offered = [_opening(stream_id, using), *offered]
        events = stored(stream_id, head, offered, timezone.now(), os.urandom(32 * len(offered)))
        follow = [projection.insert for projection in hooks.inline_projections]
        dialect.insert(cursor, events, list(filter(None, follow)))
    for projection in hooks.inline_projections:
        projection.follow(events)
    if hooks.after_commit:
        version = events[-1].version
        # Robust: the batch is committed, whatever those who are told make of it.
        transaction.on_commit(lambda: _announce(stream_id, version), using=using, robust=True)
    return events


def stored(
    stream_id: int, head: Head, offered: Sequence[NewEvent], now: dt.datetime, salts: bytes
) -> list[Event]:
    """The rows of a batch: numbered, dated, salted (32 bytes each) and chained to the head."""
    skew: dict[str, Any] = {}
    if head.recorded_at is not None and now < head.recorded_at:
        # Time never goes back within a stream; a clock that did is noted.
        skew = {"clock_behind": (head.recorded_at - now).total_seconds()}
        now = head.recorded_at
    rows = []
    previous = head.hash
    for number, event in enumerate(offered):
        version = head.version + 1 + number
        type_, schema = type(event.data).__name__, event.data.schema
        payload = codec.to_json(event.data.payload())
        # A batch's events mostly share theirs.
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
        # By position, as rows are loaded: half the time of naming each field.
        rows.append(Event.from_db(None, LOADED, row))
    return rows


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


def _opening(stream_id: int, using: str) -> NewEvent:
    conversation = rows().filter(pk=stream_id).first()
    owner = conversation.owner_actor_id if conversation else None
    data = ConversationOpened(
        str(owner) if owner else None, conversation.title if conversation else ""
    )
    return NewEvent(data, actor_id=owner)


def _announce(stream_id: int, version: int) -> None:
    for tell in hooks.after_commit:
        tell(stream_id, version)


def _current_version(stream_id: int, using: str) -> int:
    last = Event.objects.using(using).filter(stream_id=stream_id).order_by("-version")
    return last.values_list("version", flat=True).first() or 0


def read(stream_id: int, *, after: int = 0, until: int | None = None) -> Iterator[Event]:
    """A stream's events in order of version, those with `after` < version <= `until`."""
    events = Event.objects.using(log_database()).filter(stream_id=stream_id, version__gt=after)
    if until is not None:
        events = events.filter(version__lte=until)
    return events.order_by("version").iterator(chunk_size=1000)


def read_all(*, after: int = 0, limit: int | None = None) -> Iterator[Event]:
    """The whole log in order of position, from the first position above `after` on.

    Gives positions to what has none yet, then yields at most `limit` events, each with its
    `position`. Who has read up to N has read all there ever will be up to N.
    """
    sequence()
    using = log_database()
    limited = "" if limit is None else " LIMIT %s"
    events = Event.objects.using(using).raw(
        "SELECT e.*, p.position FROM turnlog_position p JOIN turnlog_event e"
        " ON e.stream_id = p.stream_id AND e.version = p.version"
        f" WHERE p.position > %s ORDER BY p.position{limited}",
        [after] if limit is None else [after, limit],
    )
    return events.iterator()
