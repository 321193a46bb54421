"""The log's rows as they are stored, for whoever proves them: bytes, and nothing made of them.

An administrator may have written anything. So nothing is decoded on the way: PostgreSQL's values
come in its binary form, SQLite's, which may be of any type, as they are, and what cannot be read
as what its column holds is named instead of raising. A million rows come in a few seconds.
"""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..dialects import log_database
from ..hashing import microseconds


class Row(NamedTuple):
    """An event as it is stored, its position (None: not given yet), and the columns that hold what
    they cannot hold (None: all is well). Ids are 16 bytes, text is UTF-8, and `recorded_at` is in
    microseconds since 2000, as PostgreSQL keeps it: add EPOCH.

    What is read are plain tuples in this order: making them more takes a tenth of the time.
    """

    stream_id: int
    version: int
    type: bytes
    schema: int
    turn_id: bytes | None
    actor_id: bytes | None
    recorded_at: int
    payload: bytes | None
    metadata: bytes
    salt: bytes | None
    digest: bytes
    hash: bytes
    position: int | None
    unreadable: Sequence[str] | None


EPOCH = microseconds(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
_EVENTS = """
    SELECT {columns} FROM turnlog_event e
    LEFT JOIN turnlog_position p ON p.stream_id = e.stream_id AND p.version = e.version
    {where} ORDER BY {order}
"""
_NEW_EVENTS = """
    SELECT {columns} FROM (
        SELECT position, stream_id, version FROM turnlog_position WHERE position > {after}
        UNION ALL
        SELECT NULL, n.stream_id, n.version FROM turnlog_pending d
        JOIN turnlog_event n ON n.stream_id = d.stream_id AND n.version BETWEEN d.first AND d.last
        WHERE NOT EXISTS (
            SELECT 1 FROM turnlog_position q
            WHERE q.stream_id = n.stream_id AND q.version = n.version)
    ) p JOIN turnlog_event e ON e.stream_id = p.stream_id AND e.version = p.version
    ORDER BY e.stream_id, e.version
"""
_PLACES = """
    SELECT p.position, p.stream_id, p.version, e.hash FROM turnlog_position p
    LEFT JOIN turnlog_event e ON e.stream_id = p.stream_id AND e.version = p.version
    WHERE p.position > {after} ORDER BY p.position
"""
# Of SQLite's; PostgreSQL knows what a column holds.
_TEXTS = ("type", "turn_id", "actor_id", "recorded_at", "payload", "metadata")


@contextmanager
def snapshot() -> Iterator[None]:
    """Reads within it see the log as it is at one moment; nobody waits for it, and it for nobody.

    Within a transaction of the caller's it is that one's.
    """
    connection = connections[log_database()]
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        # Not Django's transaction, which a project may have set to take the only writer's place.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield


def events(where: str = "", *, by_position: bool = False) -> Iterator[Any]:
    """Events, in order of stream and version or of the whole log; `where` is SQL of ours."""
    order = "p.position" if by_position else "e.stream_id, e.version"
    return _read_events(_EVENTS.replace("{where}", where).replace("{order}", order))


def first(where: str) -> Row | None:
    """The first of some events."""
    found = next(events(where), None)
    return None if found is None else Row._make(found)


def new_events(after: int) -> Iterator[Any]:
    """Events above a position, and those without one, in order of stream and version."""
    return _read_events(_NEW_EVENTS.replace("{after}", str(int(after))))


def places(after: int = 0) -> Iterator[tuple[Any, Any, Any, bytes | None]]:
    """(position, stream_id, version, the event's hash or None) of all positions above one."""
    sql = _PLACES.replace("{after}", str(int(after)))
    connection = connections[log_database()]
    yield from (_read_sqlite if connection.vendor == "sqlite" else _read_postgresql)(
        connection, sql
    )


def pending(where: str = "") -> Iterator[tuple[Any, Any, Any]]:
    """(stream_id, first, last) of the appends without positions, in order; `where` as above."""
    sql = f"SELECT stream_id, first, last FROM turnlog_pending e {where} ORDER BY stream_id, first"
    connection = connections[log_database()]
    with connection.cursor() as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(2000):
            yield from rows


def checkpoints() -> Iterator[tuple[Any, Any, str]]:
    """(id, size, note) of all signed checkpoints, in the order in which they were signed."""
    connection = connections[log_database()]
    note = "CAST(note AS BLOB)" if connection.vendor == "sqlite" else "note"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, +size, {note} FROM turnlog_signed_checkpoint ORDER BY id")
        while rows := cursor.fetchmany(2000):
            for pk, size, stored in rows:
                # What is no text is no checkpoint either.
                text = stored.decode(errors="replace") if isinstance(stored, bytes) else stored
                yield pk, size, text


def _read_events(sql: str) -> Iterator[Any]:
    connection = connections[log_database()]
    if connection.vendor == "sqlite":
        columns = ", ".join(
            # Text as bytes, for it may not be UTF-8; 0 for what is no text. The plus leaves a value
            # as it is, where Django would convert what comes straight from a column.
            f"CASE typeof(e.{name}) WHEN 'text' THEN CAST(e.{name} AS BLOB)"
            f" WHEN 'null' THEN NULL ELSE 0 END"
            if name in _TEXTS
            else f"+e.{name}"
            for name in Row._fields[:12]
        )
        rows = _read_sqlite(connection, sql.format(columns=f"{columns}, +p.position"))
        return (_checked(row) for row in rows)
    columns = ", ".join(f"e.{name}" for name in Row._fields[:12])
    return _read_postgresql(connection, sql.format(columns=f"{columns}, p.position, NULL"))


_CURSORS = itertools.count()  # Two may be open at once, and their names must differ.


def _read_postgresql(connection: BaseDatabaseWrapper, sql: str) -> Iterator[Any]:
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        connection.connection.cursor(name=f"turnlog_proof_{next(_CURSORS)}", binary=True) as cursor,
    ):
        _as_stored(cursor.adapters)
        cursor.execute(sql)
        while rows := cursor.fetchmany(2000):
            yield from rows


def _as_stored(adapters: Any) -> None:
    """Have text and UUIDs come as their bytes, and times as the number they are stored as."""
    as_bytes, as_number = _loaders(adapters)
    for name in ("text", "varchar", "uuid"):
        adapters.register_loader(name, as_bytes)
    adapters.register_loader("timestamptz", as_number)


@cache
def _loaders(adapters: Any) -> Any:
    from psycopg.pq import Format

    of = adapters.types
    return [adapters.get_loader(of[name].oid, Format.BINARY) for name in ("bytea", "int8")]


def _read_sqlite(connection: BaseDatabaseWrapper, sql: str) -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(2000):
            yield from rows


def _checked(row: Sequence[Any]) -> Row:
    """A row of SQLite's, which puts anything into any column."""
    values = list(row)
    unreadable = []
    for place, (name, read) in enumerate(_SQLITE_COLUMNS):
        value = values[place]
        if value is None and name in ("turn_id", "actor_id", "payload", "salt"):
            continue
        try:
            values[place] = read(value)
        except ValueError:
            unreadable.append(name)
    return Row._make((*values, unreadable or None))


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise ValueError
    return value


def _uuid(value: Any) -> bytes:
    """32 hex digits; in small letters, for there must be one way to write a value."""
    id_ = uuid.UUID(_bytes(value).decode("ascii"))
    if id_.hex.encode() != value:
        raise ValueError
    return id_.bytes


def _time(value: Any) -> int:
    """As Django writes it: UTC, and a fraction where there is one."""
    moment = dt.datetime.fromisoformat(_bytes(value).decode("ascii"))
    if str(moment).encode() != value or moment.tzinfo is not None:
        raise ValueError
    return microseconds(moment.replace(tzinfo=dt.UTC)) - EPOCH


_SQLITE_COLUMNS: list[tuple[str, Callable[[Any], Any]]] = [
    ("stream_id", _number),
    ("version", _number),
    ("type", _bytes),
    ("schema", _number),
    ("turn_id", _uuid),
    ("actor_id", _uuid),
    ("recorded_at", _time),
    ("payload", _bytes),
    ("metadata", _bytes),
    ("salt", _bytes),
    ("digest", _bytes),
    ("hash", _bytes),
]
