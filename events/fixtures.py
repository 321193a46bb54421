"""Fixtures: `loaddata` brings a log back exactly, into a database that has none, or refuses."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from django.core.management.base import CommandError
from django.db import connections, models, transaction
from django.db.models import Exists, OuterRef
from django.db.models.signals import pre_save

from ..core.errors import TurnlogError
from ..core.fields import restore
from .store.hashing import GENESIS, event_hash, payload_digest
from .tables.content import Content
from .tables.conversation import ConversationRow, rows
from .tables.event import Event, Pending, Position


class FixtureRefused(CommandError, TurnlogError):
    """A fixture that would not give the log that was dumped. Nothing of it is loaded."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the fixture is refused: {why}", returncode=2)


def connect(models: Iterable[type[models.Model]]) -> None:
    """Look at each row of these models that comes from a fixture."""
    for model in models:
        pre_save.connect(_before_row, sender=model)


def _before_row(*, instance: models.Model, raw: bool, using: str, **kwargs: Any) -> None:
    if not raw:
        return
    loading = _loading(using)
    try:
        restore(instance)
    except ValueError as error:
        raise FixtureRefused(f"a text of {_place(instance)} cannot be read: {error}") from error
    loading.admit(instance)


class _Loading:
    """What one transaction loads. Raises FixtureRefused."""

    def __init__(self, using: str) -> None:
        if Event.objects.using(using).exists() or rows().using(using).exists():
            raise FixtureRefused(
                "expected a database without conversations, into which a log can be loaded as it"
                f" was, found some in {using!r}; load all fixtures of a log with one loaddata, into"
                " a database that has just been migrated"
            )
        self._using = using
        self._heads: dict[int, tuple[int, bytes]] = {}
        self._conversations: set[int] = set()

    def admit(self, row: models.Model) -> None:
        if isinstance(row, ConversationRow):
            self._conversations.add(row.pk)
        elif isinstance(row, Event):
            self._admit_event(row)
            if row.stream_id not in self._conversations:
                self._make_room(row)
        elif isinstance(row, Content) and sha256(row.text.encode()).hexdigest() != row.pk:
            raise FixtureRefused(f"{_place(row)} is another text than the one that was dumped")

    def _admit_event(self, event: Event) -> None:
        version, previous = self._heads.get(event.stream_id, (0, GENESIS))
        if event.version != version + 1:
            raise FixtureRefused(
                f"expected version {version + 1} of conversation {event.stream_id} next, found"
                f" version {event.version}; dump all events, in the order of their ids"
            )
        if not _is_what_was_hashed(event, previous):
            raise FixtureRefused(
                f"version {event.version} of conversation {event.stream_id} does not have its"
                " hash, so it is not what was recorded; run verify_log where it was dumped"
            )
        self._heads[event.stream_id] = event.version, bytes(event.hash)

    def _make_room(self, first: Event) -> None:
        """Insert the row that the fixture has later: the database gives no conversation a number
        that has events. Until then, and if the fixture lacks it, it is no user's and open to none.
        """
        owner = first.actor_id or uuid.uuid4()
        model: Any = rows().model
        row = model(id=first.stream_id, owner_actor_id=owner, created_at=first.recorded_at)
        models.Model.save_base(row, raw=True, using=self._using, force_insert=True)

    def finish(self) -> None:
        """After the commit. Events that were dumped without a place are given one."""
        _loadings.pop(connections[self._using], None)
        events = Event.objects.using(self._using)
        for each in events.filter(~_of_event(Position), ~_pending()).iterator():
            pending = Pending(stream_id=each.stream_id, first=each.version, last=each.version)
            pending.save(using=self._using)
        if self._has_places_of_nothing():
            raise FixtureRefused(
                "it was loaded, but the log it gives lacks events that have a position already:"
                " the log was written to while it was dumped; discard this database, and dump"
                " again while no process writes"
            )

    def _has_places_of_nothing(self) -> bool:
        placed = Position.objects.using(self._using).filter(~_of_event(Event))
        last = Event.objects.filter(stream_id=OuterRef("stream_id"), version=OuterRef("last"))
        pending = Pending.objects.using(self._using).filter(~Exists(last))
        return placed.exists() or pending.exists()


_loadings: WeakKeyDictionary[Any, _Loading] = WeakKeyDictionary()


def _loading(using: str) -> _Loading:
    connection = connections[using]
    loading = _loadings.get(connection)
    # A transaction that was rolled back has forgotten what was to be done after its commit.
    planned = [each[1] for each in connection.run_on_commit]
    going_on = loading is not None and loading.finish in planned
    if loading is None or not going_on:
        loading = _loadings[connection] = _Loading(using)
        transaction.on_commit(loading.finish, using=using)
    return loading


def _is_what_was_hashed(event: Event, previous: bytes) -> bool:
    if event.payload is not None:
        if event.salt is None:
            return False
        digest = payload_digest(bytes(event.salt), event.payload)
        if digest != bytes(event.digest):
            return False
    try:
        expected = event_hash(
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
    except (TypeError, struct.error):  # A time without a zone, or a number that is too large.
        return False
    return expected == bytes(event.hash)


def _of_event(model: Any) -> Exists:
    same = model.objects.filter(stream_id=OuterRef("stream_id"), version=OuterRef("version"))
    return Exists(same)


def _pending() -> Exists:
    version = OuterRef("version")
    return Exists(
        Pending.objects.filter(
            stream_id=OuterRef("stream_id"), first__lte=version, last__gte=version
        )
    )


def _place(row: models.Model) -> str:
    return f"{row._meta.label_lower} {row.pk}"
