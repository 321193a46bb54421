"""One append and all its tries: in one statement if the head is known, or in a transaction."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from ..core.errors import TurnlogError, UnknownConversation
from . import hooks, runners
from .chain import NewEvent, chained
from .payloads import Payload, Payloads
from .standing import AskedTurn, OpenTurn, Standing, memory
from .store.dialect import dialect_of
from .tables.actor import Actor, is_user
from .tables.content import Content
from .tables.conversation import rows
from .tables.event import Event
from .types import WAITING_TYPE, ConversationOpened, SideStreamOpened

logger = logging.getLogger("turnlog")


class _Decided(NamedTuple):
    """What was decided for a standing, and the pseudonym that its user had then."""

    standing: Standing
    offered: Sequence[NewEvent]
    actor_id: uuid.UUID | None


class Attempt:
    """One append and all its tries."""

    def __init__(
        self, stream_id: int, using: str, decide: Callable[[Standing], Sequence[NewEvent]]
    ) -> None:
        self.stream_id = stream_id
        self.standing = Standing()
        self.actual = 0
        self.lost = memory.is_contended(stream_id)
        self._decide = decide
        # Only of a batch that takes a transaction.
        self._decided: _Decided | None = None
        self._payloads = Payloads()
        self._using = using
        self._connection = connections[using]
        self._dialect = dialect_of(self._connection)

    def at_once(self, turn_id: uuid.UUID | None) -> list[Event] | None:
        """Append in one statement, which does so only if the head has not moved since the decision.

        Returns None if it has moved, or if one statement is not enough.
        """
        remembered = memory.recall(self.stream_id, turn_id)
        if remembered is not None and (stored := self._by_memory(remembered)):
            return stored
        if self.lost or self._decided is not None:
            return None
        with self._dialect.cursor(self._connection) as cursor:
            standing = self._read(cursor, turn_id, join=False)
        if standing.version == 0:
            return None  # An empty stream is opened first.
        offered = self._decide(standing)
        return self._insert_after(standing, offered) if offered else []

    def _by_memory(self, remembered: Standing) -> list[Event] | None:
        try:
            offered = self._decide(remembered)
        except TurnlogError:
            return None  # The memory may be outdated, so it refuses nothing.
        return self._insert_after(remembered, offered) if offered else None

    def _insert_after(self, standing: Standing, offered: Sequence[NewEvent]) -> list[Event] | None:
        self.standing = standing
        # The statement compares it with the database: they may have been forgotten meanwhile.
        user = _acting(offered)
        actor = None
        if user is not None and (remembered := Actor.objects.remembered(user)):
            actor = remembered, user.pk
        decided = _Decided(standing, offered, actor[0] if actor is not None else None)
        payloads = self._payloads.of(event.data for event in offered)
        if any(payload.blobs for payload in payloads):
            self._payloads.write_files(payloads)
            self._decided = decided
            return None  # Takes more than one statement.
        events = self._rows(offered, payloads, actor)
        follow = [projection.insert for projection in hooks.inline_projections]
        if any(projection.follows(events) for projection in hooks.inline_projections):
            self._decided = decided
            return None  # Takes more than one statement.
        [runner] = {event.runner for event in offered} - {None} or {None}
        texts = sorted({key for event in offered for key in event.texts})
        try:
            done = self._dialect.insert_after(
                self._connection,
                standing.hash,
                events,
                list(filter(None, follow)),
                texts,
                runner,
                actor,
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
                # A separate statement: the head must be read after the wait.
                self._dialect.lock_streams(cursor, [self.stream_id])
            self.standing = self._read(cursor, turn_id, join=True)
            offered = self._offered_after(self.standing)
            if not offered:
                return []
            if self.standing.version == 0 and not isinstance(offered[0].data, ConversationOpened):
                offered = [_opening(self.stream_id), *offered]
            _keep_what_they_need(offered)
            user = _acting(offered)
            actor = None if user is None else (Actor.objects.keep(user), user.pk)
            payloads = self._payloads.of(event.data for event in offered)
            events = self._rows(offered, payloads, actor)
            self._payloads.keep(events, payloads)
            follow = [projection.insert for projection in hooks.inline_projections]
            self._dialect.insert(cursor, events, list(filter(None, follow)))
        for projection in hooks.inline_projections:
            projection.follow(events)
        # Robust: the batch stays committed even if a receiver raises.
        transaction.on_commit(lambda: announce(events), using=self._using, robust=True)
        return events

    def _offered_after(self, standing: Standing) -> Sequence[NewEvent]:
        """Decide, or take what was decided before the transaction: what is read for a decision may
        be long, and other writers wait now.

        That holds if the head has not moved, if the open turn's process is as it was, and if the
        user was not forgotten meanwhile, for forgetting moves no head.
        """
        decided, self._decided = self._decided, None
        if decided is None or _facts(decided.standing) != _facts(standing):
            return self._decide(standing)
        user = _acting(decided.offered)
        if user is not None and Actor.objects.keep(user) != decided.actor_id:
            return self._decide(standing)
        return decided.offered

    def _rows(
        self,
        offered: Sequence[NewEvent],
        payloads: Sequence[Payload],
        actor: tuple[Any, Any] | None,
    ) -> list[Event]:
        salts = os.urandom(32 * len(offered))
        theirs = [actor is not None and _is_of_user(event) for event in offered]
        if actor is not None:
            offered = [
                replace(event, actor_id=actor[0]) if own else event
                for event, own in zip(offered, theirs, strict=True)
            ]
        texts = [payload.text for payload in payloads]
        events = chained(self.stream_id, self.standing, offered, texts, timezone.now(), salts)
        if actor is not None:
            for event, own in zip(events, theirs, strict=True):
                event.spoken_by = actor[1] if own else None
        return events

    def _read(self, cursor: Any, turn_id: uuid.UUID | None, *, join: bool) -> Standing:
        row = self._dialect.read_standing(cursor, self.stream_id, turn_id, join=join)
        return _standing(row, turn_id)

    def remember(self, events: Sequence[Event]) -> None:
        """Let this process's next append to the stream start from here."""
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


def _facts(standing: Standing) -> tuple[Any, ...]:
    return standing.hash, standing.turn, standing.opened


def _is_of_user(event: NewEvent) -> bool:
    return event.actor_id is None and is_user(event.user)


def _acting(offered: Sequence[NewEvent]) -> Any:
    """The user whose pseudonym a batch needs; None for none."""
    return next((event.user for event in offered if _is_of_user(event)), None)


def _standing(row: Sequence[Any], turn_id: uuid.UUID | None) -> Standing:
    version, hash_, recorded_at, state, actor, erased, *opened, branched = row
    if version is None:
        return Standing()
    turn = None
    if turn_id is not None and state is not None:
        turn = AskedTurn(state, _uuid(actor), bool(erased))
    open_turn = _open_turn(turn_id, *opened)
    return Standing(version, bytes(hash_), recorded_at, turn, open_turn, branched or 0)


def _open_turn(
    asked: uuid.UUID | None,
    version: int | None,
    turn_id: Any,
    actor_id: Any,
    state: str | None,
    metadata: str | None,
) -> OpenTurn | None:
    if version is None:
        return None
    if state == WAITING_TYPE:
        return OpenTurn(_uuid(turn_id), _uuid(actor_id), None, waits=True)
    runner = json.loads(metadata or "{}").get("runner")
    # Only for another turn: the process that asks about this very turn is answering it.
    gone = _uuid(turn_id) != asked and runners.is_abandoned(runner)
    return OpenTurn(_uuid(turn_id), _uuid(actor_id), runner, gone)


def _uuid(stored: Any) -> uuid.UUID | None:
    """Return a UUID that came from a raw cursor: SQLite's driver returns text."""
    return uuid.UUID(stored) if isinstance(stored, str) else stored


def _keep_what_they_need(offered: Sequence[NewEvent]) -> None:
    """Store texts and runners in the transaction of the events that refer to them.

    A refused turn leaves none behind. An erasure that finds a text used by no other turn waits for
    this transaction.
    """
    texts = {key: text for event in offered for key, text in event.texts.items()}
    if texts:
        Content.objects.keep(*texts.values())
    if any(event.runner for event in offered):
        runners.beat()


def _opening(stream_id: int) -> NewEvent:
    """The stream's first event. Raises UnknownConversation, so that no events are left for whoever
    gets this number next: the object may be one whose creation was rolled back."""
    conversation = rows().filter(pk=stream_id).first()
    if conversation is None:
        raise UnknownConversation(stream_id)
    if conversation.beside is not None:
        return NewEvent(SideStreamOpened(conversation.beside))
    owner = conversation.owner_actor_id
    data = ConversationOpened(str(owner) if owner else None, conversation.title)
    return NewEvent(data, actor_id=owner)


def announce(events: Sequence[Event]) -> None:
    """Tell the rooms above what has been committed.

    A receiver that raises keeps neither the others nor the append from their ends.
    """
    for tell in hooks.after_commit:
        try:
            tell(events)
        except Exception as error:
            kind = type(error).__name__
            logger.error("a receiver of the log's news failed: %s", kind, exc_info=error)
