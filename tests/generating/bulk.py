"""Writes many new streams at once, at the speed of the database.

An append reads a head that other writers may move. Here a stream and its conversation are new and
are committed together: there is no head to read, no race to lose and no follower to tell. The rows
are those of an append, except that the caller chooses their times and salts. The inline projections
make of them what they make of an append.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from django.db import connections, transaction
from django.db.models import OuterRef, Subquery

from turnlog.core import codec
from turnlog.events import hooks
from turnlog.events.chain import NewEvent, chained
from turnlog.events.models import Conversation
from turnlog.events.standing import Standing
from turnlog.events.store.dialect import dialect_of
from turnlog.events.tables.columns import EVENT_COLUMNS
from turnlog.events.tables.database import log_database
from turnlog.events.tables.event import Event, Pending

if TYPE_CHECKING:
    import datetime as dt

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import Field

TRANSACTION = 5000
"""Events, at least: then the transaction ends with the stream."""
SLICE = 10_000
"""Events in memory, about: a longer stream is written in several slices of one transaction."""

_COLUMNS = ", ".join(f'"{name}"' for name in EVENT_COLUMNS)
_row = attrgetter(*EVENT_COLUMNS)
# What binary COPY must be told, in the order of EVENT_COLUMNS.
_COPY_TYPES = (
    *("int8", "int4", "text", "int2", "uuid", "uuid", "timestamptz"),
    *("text", "text", "bytea", "bytea", "bytea"),
)


class Batch(NamedTuple):
    """What one append would have written, and when."""

    at: dt.datetime
    events: Sequence[NewEvent]


@dataclass(frozen=True, slots=True)
class NewStream:
    """A conversation that is not saved yet, and all that happened in it.

    `size` is the number of events in `batches`, of which the first is a ConversationOpened; they
    are read once, while they are written. `salts` gives so many random bytes.
    """

    conversation: Conversation
    size: int
    batches: Iterable[Batch]
    salts: Callable[[int], bytes] = os.urandom


def write(streams: Iterable[NewStream]) -> Iterator[int]:
    """Write new streams, whole ones in each transaction; yields the events of each commit.

    The events get no positions: that is for `sequence()`, as after an append.
    """
    using = log_database()
    groups = _groups(streams)
    group = next(groups, None)
    while group:
        following = next(groups, None)
        with transaction.atomic(using=using):
            _write_group(group, using, last=following is None)
        yield sum(stream.size for stream in group)
        group = following


def _groups(streams: Iterable[NewStream]) -> Iterator[list[NewStream]]:
    group: list[NewStream] = []
    for stream in streams:
        group.append(stream)
        if sum(each.size for each in group) >= TRANSACTION:
            yield group
            group = []
    if group:
        yield group


def _write_group(group: Sequence[NewStream], using: str, *, last: bool) -> None:
    connection = connections[using]
    with connection.cursor() as cursor:
        dialect_of(connection).use_indexes(cursor)
        if not last:
            # The last commit waits for the disk, and with that for all before it.
            _commit_later(cursor)
    conversations = Conversation.objects.using(using)
    conversations.bulk_create(stream.conversation for stream in group)
    batches = (rows for stream in group for rows in _rows(stream))
    for first in batches:
        _insert(_slice(chain([first], batches)), using)
    _date([stream.conversation.pk for stream in group], using)


def _commit_later(cursor: Any) -> None:
    # On SQLite, how safe commits are is for the project's settings to say.
    if cursor.db.vendor == "postgresql":
        cursor.execute("SET LOCAL synchronous_commit = off")


def _date(streams: Sequence[int], using: str) -> None:
    """Let conversations be created when their streams begin, not when they were written."""
    opened = Event.objects.filter(stream_id=OuterRef("pk"), version=1).values("recorded_at")
    conversations = Conversation.objects.using(using).filter(pk__in=streams)
    conversations.update(created_at=Subquery(opened))


def _rows(stream: NewStream) -> Iterator[list[Event]]:
    head = Standing()
    for at, offered in stream.batches:
        salts = stream.salts(32 * len(offered))
        payloads = [codec.to_json(event.data.payload()) for event in offered]
        rows = chained(stream.conversation.pk, head, offered, payloads, at, salts)
        head = Standing(rows[-1].version, bytes(rows[-1].hash))
        yield rows


def _slice(batches: Iterable[list[Event]]) -> Iterator[list[Event]]:
    """Of the batches that follow, as many as make a slice."""
    events = 0
    for batch in batches:
        yield batch
        events += len(batch)
        if events >= SLICE:
            return


def _insert(batches: Iterable[list[Event]], using: str) -> None:
    """Insert events, the rows that say they have no positions yet, and what projections make."""
    connection = connections[using]
    write_rows = _copy if connection.vendor == "postgresql" else _insert_many
    events: list[Event] = []
    write_rows(_noted(batches, events), connection)
    runs = _runs(events)
    Pending.objects.using(using).bulk_create(Pending(**run._asdict()) for run in runs)
    _project(events, runs, connection)


def _noted(batches: Iterable[list[Event]], events: list[Event]) -> Iterator[Event]:
    """The events one by one, for whoever writes them, and in a list for whoever comes after."""
    for batch in batches:
        events += batch
        yield from batch


def _copy(events: Iterable[Event], connection: BaseDatabaseWrapper) -> None:
    # The events are made while the server stores those before: half the time, on two cores.
    statement = f"COPY turnlog_event ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cast(Any, cursor).copy(statement) as copy,
    ):
        copy.set_types(_COPY_TYPES)
        for event in events:
            copy.write_row(_row(event))


def _insert_many(events: Iterable[Event], connection: BaseDatabaseWrapper) -> None:
    # The fields know how the database stores a datetime and a UUID; the raw driver does not.
    adapters = [
        cast("Field[Any, Any]", Event._meta.get_field(name)).get_db_prep_value
        for name in EVENT_COLUMNS
    ]
    marks = ", ".join(["%s"] * len(EVENT_COLUMNS))
    rows = [
        [adapt(value, connection) for adapt, value in zip(adapters, _row(event), strict=True)]
        for event in events
    ]
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO turnlog_event ({_COLUMNS}) VALUES ({marks})", rows)


class _Run(NamedTuple):
    """Versions `first` to `last` of one stream."""

    stream_id: int
    first: int
    last: int


def _runs(events: Sequence[Event]) -> list[_Run]:
    runs = []
    for stream_id, run in groupby(events, attrgetter("stream_id")):
        versions = [event.version for event in run]
        runs.append(_Run(stream_id, versions[0], versions[-1]))
    return runs


def _project(
    events: Sequence[Event], runs: Sequence[_Run], connection: BaseDatabaseWrapper
) -> None:
    """What an append does for the inline projections, once for many streams."""
    places = ", ".join(f"({run.stream_id}, {run.first}, {run.last})" for run in runs)
    # Both databases call the columns of VALUES by these names.
    batch = (
        f"(SELECT s.* FROM (VALUES {places}) run JOIN turnlog_event s ON s.stream_id = run.column1"
        " AND s.version BETWEEN run.column2 AND run.column3)"
    )
    dialect = dialect_of(connection)
    with connection.cursor() as cursor:
        for projection in hooks.inline_projections:
            if projection.insert:
                cursor.execute(dialect.projected(projection.insert, batch), ())
    for projection in hooks.inline_projections:
        projection.follow(events)
