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

from ..core.codec.blobs import blobs_in
from ..core.errors import BlobFileError, TurnlogError
from ..core.fields import restore
from .store import blob_files
from .store.hashing import GENESIS, event_hash, payload_digest
from .tables.blob import Blob, BlobUse
from .tables.content import Content
from .tables.conversation import ConversationRow, rows
from .tables.event import Event, Pending, Position
from .tables.proof import SignedCheckpoint


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
        self._needed: set[tuple[int, int, str]] = set()
        self._uses: set[tuple[int, int, str]] = set()
        """Which blobs the events need, and which rows say so: (stream, version, digest)."""
        self._owed: set[int] = set()
        """Conversations with events whose row is yet to come."""

    def admit(self, row: models.Model) -> None:
        if isinstance(row, ConversationRow):
            self._conversations.add(row.pk)
            self._owed.discard(row.pk)
        elif isinstance(row, Event):
            self._admit_event(row)
            if row.stream_id not in self._conversations:
                self._make_room(row)
        elif isinstance(row, Content) and sha256(row.text.encode()).hexdigest() != row.pk:
            raise FixtureRefused(f"{_place(row)} is another text than the one that was dumped")
        elif isinstance(row, Blob):
            _admit_blob(row)
        elif isinstance(row, BlobUse):
            self._uses.add((row.stream_id, row.version, row.blob_id))

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
        for blob in blobs_in(event.payload or ""):
            self._needed.add((event.stream_id, event.version, blob.sha256))

    def _make_room(self, first: Event) -> None:
        """Insert the row that the fixture has later: the database gives no conversation a number
        that has events. Until then it is no user's and open to none.
        """
        owner = first.actor_id or uuid.uuid4()
        model: Any = rows().model
        row = model(id=first.stream_id, owner_actor_id=owner, created_at=first.recorded_at)
        models.Model.save_base(row, raw=True, using=self._using, force_insert=True)
        self._owed.add(first.stream_id)

    def before_commit(self) -> None:
        """Raise FixtureRefused if a row is missing that others need, or was not dumped yet."""
        if lack := self._lack():
            raise FixtureRefused(lack)

    def finish(self) -> None:
        """After the commit. Events that were dumped without a place are given one."""
        _loadings.pop(connections[self._using], None)
        events = Event.objects.using(self._using)
        for each in events.filter(~_of_event(Position), ~_pending()).iterator():
            pending = Pending(stream_id=each.stream_id, first=each.version, last=each.version)
            pending.save(using=self._using)
        if lack := self._lack():  # Rows that were saved in another way than by `loaddata`.
            raise FixtureRefused(f"it was loaded, but {lack}; discard this database")

    def _lack(self) -> str:
        if self._owed:
            pk = min(self._owed)
            return (
                f"it has events of conversation {pk} and lacks its row; dump all models of"
                " turnlog_events together"
            )
        for stream_id, version, digest in sorted(self._needed ^ self._uses):
            found = "no row" if (stream_id, version, digest) in self._needed else "one too many"
            return (
                f"expected a row of turnlog_blob_use for each blob of an event, found {found} for"
                f" version {version} of conversation {stream_id} and {digest}; dump all models of"
                " turnlog_events together"
            )
        if (without := BlobUse.objects.using(self._using).filter(~_blob())).exists():
            return (
                f"it lacks the blob {without.values_list('blob_id', flat=True)[0]}; dump all models"
                " of turnlog_events together"
            )
        placed = Position.objects.using(self._using).filter(~_of_event(Event))
        last = Event.objects.filter(stream_id=OuterRef("stream_id"), version=OuterRef("last"))
        pending = Pending.objects.using(self._using).filter(~Exists(last))
        if placed.exists() or pending.exists():
            return (
                "it lacks events that have a position already: the log was written to while it was"
                " dumped; dump again while no process writes"
            )
        signed = SignedCheckpoint.objects.using(self._using).order_by("-size").first()
        positions = Position.objects.using(self._using).count()
        # A single one can only be the last.
        if signed is not None and signed.size > positions + 1:
            return (
                f"it has a signed checkpoint of {signed.size} events, and {positions} of them have"
                " their position; dump all models of turnlog_events together, while no process"
                " writes"
            )
        return ""


_loadings: WeakKeyDictionary[Any, _Loading] = WeakKeyDictionary()


def _loading(using: str) -> _Loading:
    connection = connections[using]
    loading = _loadings.get(connection)
    if loading is None or not _is_planned(connection, loading):
        loading = _loadings[connection] = _Loading(using)
        transaction.on_commit(loading.finish, using=using)
        _before_commit(connection, loading)
    return loading


def _before_commit(connection: Any, loading: _Loading) -> None:
    """Let a fixture be refused as a whole once all of it is there.

    Django tells nobody that it is about to commit. But whoever loads fixtures calls this method of
    the connection once, after the last row: constraints were not checked until then.
    """
    check = type(connection).check_constraints

    def check_constraints(table_names: Any = None) -> None:
        del connection.check_constraints
        if _loadings.get(connection) is loading and _is_planned(connection, loading):
            loading.before_commit()
        check(connection, table_names)

    connection.check_constraints = check_constraints


def _is_planned(connection: Any, loading: _Loading) -> bool:
    """Whether the transaction goes on: one that was rolled back has forgotten what was to be done
    after its commit."""
    return loading.finish in [each[1] for each in connection.run_on_commit]


def _is_what_was_hashed(event: Event, previous: bytes) -> bool:
    if event.payload is None or event.salt is None:
        if event.payload is not event.salt:
            return False  # An erasure removes both.
    else:
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


def _blob() -> Exists:
    return Exists(Blob.objects.filter(pk=OuterRef("blob_id")))


def _admit_blob(blob: Blob) -> None:
    try:
        data = blob_files.read(blob.file) if blob.file else bytes(blob.data or b"")
    except BlobFileError as error:
        what = f"{_place(blob)} is in a file, and fixtures have none: {error}"
        raise FixtureRefused(what) from error
    if (sha256(data).hexdigest(), len(data)) != (blob.pk, blob.size):
        raise FixtureRefused(f"{_place(blob)} has other bytes than those that were dumped")


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
