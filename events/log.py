"""The append-only log: append to a stream, read a stream, read everything.

An append reads how the stream stands, decides, inserts the batch and commits; writers never wait
for each other. The uniqueness of (stream_id, version) decides a race, and the loser reads again.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from ..core import codec, retrying
from ..core.errors import ConcurrencyError, TurnlogError
from . import hooks, runners
from .standing import AskedTurn, OpenTurn, Standing, memory
from .store.dialect import dialect_of
from .store.hashing import event_hash, payload_digest
from .store.sequence import sequence
from .tables.columns import LOADED
from .tables.content import Content
from .tables.conversation import rows
from .tables.database import log_database
from .tables.event import Event
from .types import ConversationOpened, EventData


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact offered to the log; what was stored is an `Event`.

    `texts` are those that the fact refers to, by their SHA-256 digests in hex, and `runner` is the
    process that it names: the log sees to it that they are there when the event is.
    """

    data: EventData
    turn_id: uuid.UUID | None = None
    actor_id: uuid.UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    runner: uuid.UUID | None = None


F = TypeVar("F")
Decision = Callable[[Standing, F], Sequence[NewEvent]]
"""A pure function of how the stream stands and of what else was gathered. It may raise."""


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

    def decide(standing: Standing, _: None) -> Sequence[NewEvent]:
        if expected_version is not None and standing.version != expected_version:
            raise ConcurrencyError(stream_id, expected_version, standing.version)
        return events

    return append_decided(stream_id, decide, lambda standing: None)


def append_decided(
    stream_id: int,
    decide: Decision[F],
    gather: Callable[[Standing], F],
    *,
    turn_id: uuid.UUID | None = None,
) -> list[Event]:
    """Append what `decide` answers to how the stream stands and to what `gather` has read.

    `gather` reads what the decision needs besides the standing, and `decide` is pure. Both run
    again after a lost race. What was read still holds when the batch is inserted: nothing has been
    appended in between. Nothing is appended if the decision is empty, or raises.

    `turn_id` is the turn that `standing.turn` is about.
    """
    using = log_database()
    attempt = _Attempt(stream_id, using, lambda standing: decide(standing, gather(standing)))
    connection = connections[using]
    alone = not connection.in_atomic_block and connection.get_autocommit()
    if alone and not memory.is_contended(stream_id):
        with memory.alone(stream_id):
            stored = attempt.at_once(turn_id)
        if stored is not None:
            if stored:
                _announce(stored)
            return stored
    for number in range(retrying.LOST_RACES):
        try:
            # Nested in somebody's transaction this is a savepoint; outermost, the transaction
            # itself, so that a lost race begins with a fresh snapshot.
            with transaction.atomic(using=using):
                # After a lost race, take the exclusive lock before reading: otherwise this writer
                # may go on losing where many write.
                stored = attempt.in_transaction(turn_id, exclusive=attempt.lost or number > 0)
            if alone and stored:
                attempt.remember(stored)
            return stored
        except IntegrityError:
            if not attempt.was_overtaken():
                raise  # The error is a real one.
    raise ConcurrencyError(stream_id, attempt.standing.version, attempt.actual)


class _Attempt:
    """One append, for as many tries as it takes."""

    def __init__(
        self, stream_id: int, using: str, decide: Callable[[Standing], Sequence[NewEvent]]
    ) -> None:
        self.stream_id = stream_id
        self.standing = Standing()
        self.actual = 0
        self.lost = memory.is_contended(stream_id)
        self._decide = decide
        self._using = using
        self._connection = connections[using]
        self._dialect = dialect_of(self._connection)

    def at_once(self, turn_id: uuid.UUID | None) -> list[Event] | None:
        """Append in a statement of its own that holds only if the head is still the one that was
        decided by; None if it is not, or if this is not possible."""
        remembered = memory.recall(self.stream_id, turn_id)
        if remembered is not None:
            try:
                if offered := self._decide(remembered):
                    return self._insert_after(remembered, offered)
            except TurnlogError:
                pass  # What is remembered may be outdated, and refuses nothing.
        with self._dialect.cursor(self._connection) as cursor:
            standing = self._read(cursor, turn_id, join=False)
        if standing.version == 0:
            return None  # An empty stream is opened first.
        offered = self._decide(standing)
        return self._insert_after(standing, offered) if offered else []

    def _insert_after(self, standing: Standing, offered: Sequence[NewEvent]) -> list[Event] | None:
        self.standing = standing
        events = self._rows(offered)
        follow = [projection.insert for projection in hooks.inline_projections]
        if any(projection.follows(events) for projection in hooks.inline_projections):
            return None  # Takes more than one statement.
        [runner] = {event.runner for event in offered} - {None} or {None}
        texts = sorted({key for event in offered for key in event.texts})
        try:
            done = self._dialect.insert_after(
                self._connection, standing.hash, events, list(filter(None, follow)), texts, runner
            )
        except IntegrityError:
            if not self.was_overtaken():
                raise
            return None
        if not done:
            return None
        self.remember(events)
        return events

    def in_transaction(self, turn_id: uuid.UUID | None, *, exclusive: bool) -> list[Event]:
        """Append in the transaction that is open. Raises IntegrityError if a writer was faster."""
        with self._dialect.cursor(self._connection) as cursor:
            if exclusive:
                # A statement of its own, for the head must be read after the wait.
                self._dialect.lock_streams(cursor, [self.stream_id])
            self.standing = self._read(cursor, turn_id, join=True)
            offered = self._decide(self.standing)
            if not offered:
                return []
            if self.standing.version == 0 and not isinstance(offered[0].data, ConversationOpened):
                offered = [_opening(self.stream_id), *offered]
            _keep_what_they_need(offered)
            events = self._rows(offered)
            follow = [projection.insert for projection in hooks.inline_projections]
            self._dialect.insert(cursor, events, list(filter(None, follow)))
        for projection in hooks.inline_projections:
            projection.follow(events)
        # Robust: the batch is committed, whatever the receivers make of it.
        transaction.on_commit(lambda: _announce(events), using=self._using, robust=True)
        return events

    def _rows(self, offered: Sequence[NewEvent]) -> list[Event]:
        salts = os.urandom(32 * len(offered))
        return chained(self.stream_id, self.standing, offered, timezone.now(), salts)

    def _read(self, cursor: Any, turn_id: uuid.UUID | None, *, join: bool) -> Standing:
        row = self._dialect.read_standing(cursor, self.stream_id, turn_id, join=join)
        return _standing(row, turn_id)

    def remember(self, events: Sequence[Event]) -> None:
        """Let this process's next append to the stream begin from here."""
        memory.keep(self.stream_id, self.standing.after(events))

    def was_overtaken(self) -> bool:
        """Whether an IntegrityError means that another writer was faster."""
        last = Event.objects.using(self._using).filter(stream_id=self.stream_id)
        versions = last.order_by("-version").values_list("version", flat=True)
        self.actual = versions.first() or 0
        self.lost = self.actual != self.standing.version
        if self.lost:
            memory.lost(self.stream_id)
        return self.lost


def _standing(row: Sequence[Any], turn_id: uuid.UUID | None) -> Standing:
    version, hash_, recorded_at, state, actor, erased, *opened = row
    if version is None:
        return Standing()
    turn = None
    if turn_id is not None and state is not None:
        turn = AskedTurn(state, _uuid(actor), bool(erased))
    return Standing(version, bytes(hash_), recorded_at, turn, _open_turn(turn_id, *opened))


def _open_turn(
    asked: uuid.UUID | None, version: int | None, turn_id: Any, actor_id: Any, metadata: Any
) -> OpenTurn | None:
    if version is None:
        return None
    runner = json.loads(metadata).get("runner")
    # Looked up where it makes a difference: whoever asks about the turn itself is answering it.
    gone = _uuid(turn_id) != asked and runners.is_abandoned(runner)
    return OpenTurn(_uuid(turn_id), _uuid(actor_id), runner, gone)


def _uuid(stored: Any) -> uuid.UUID | None:
    """A UUID as a raw cursor gives it: SQLite's driver knows it as text."""
    return uuid.UUID(stored) if isinstance(stored, str) else stored


def _keep_what_they_need(offered: Sequence[NewEvent]) -> None:
    """Texts and runners, with the events that refer to them: a turn that is refused leaves none,
    and an erasure that finds a text used by no other turn waits for this one."""
    texts = {key: text for event in offered for key, text in event.texts.items()}
    if texts:
        Content.objects.keep(*texts.values())
    if any(event.runner for event in offered):
        runners.beat()


def chained(
    stream_id: int, head: Standing, offered: Sequence[NewEvent], now: dt.datetime, salts: bytes
) -> list[Event]:
    """The rows of a batch: numbered, dated, salted (32 bytes each) and chained to the head."""
    skew: dict[str, Any] = {}
    if head.recorded_at is not None and now < head.recorded_at:
        # Time never goes back within a stream; a clock that did is noted.
        skew = {"clock_behind": (head.recorded_at - now).total_seconds()}
        now = head.recorded_at
    stored = []
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
        stored.append(Event.from_db(None, LOADED, row))
    return stored


def _opening(stream_id: int) -> NewEvent:
    conversation = rows().filter(pk=stream_id).first()
    owner = conversation.owner_actor_id if conversation else None
    data = ConversationOpened(
        str(owner) if owner else None, conversation.title if conversation else ""
    )
    return NewEvent(data, actor_id=owner)


def _announce(events: Sequence[Event]) -> None:
    for tell in hooks.after_commit:
        tell(events)


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
