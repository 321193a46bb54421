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
    SELECT {position}, {stream_id}, {version}, {hash} FROM turnlog_position p
    LEFT JOIN turnlog_event e ON e.stream_id = p.stream_id AND e.version = p.version
    {where} ORDER BY p.position
"""
# How many events there are, how many positions, and how many events wait for one.
_COUNTS = """
    SELECT (SELECT count(*) FROM turnlog_event), (SELECT count(*) FROM turnlog_position),
        (SELECT {least} FROM (SELECT min(position) AS n FROM turnlog_position) one),
        (SELECT {least} FROM (SELECT max(position) AS n FROM turnlog_position) one),
        (SELECT coalesce(sum(last - first + 1), 0) FROM turnlog_pending)
"""
# Of SQLite's; PostgreSQL knows what a column holds. Times and ids are texts there.
_KINDS = dict.fromkeys(("type", "turn_id", "actor_id", "recorded_at", "payload"), "text")
_KINDS |= {"metadata": "text", "salt": "blob", "digest": "blob", "hash": "blob"}
_KINDS |= dict.fromkeys(("stream_id", "version", "schema", "position"), "integer")


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


def places(after: int | None = None, where: str = "") -> Iterator[tuple[Any, Any, Any, Any]]:
    """(position, stream_id, version, the event's hash or None) of positions, in their order: of
    all, of those above one, or of those that SQL of ours says over `turnlog_position p`."""
    if after is not None:
        where = f"WHERE p.position > {int(after)}"
    connection = connections[log_database()]
    columns = {name: f"p.{name}" for name in ("position", "stream_id", "version")}
    columns["hash"] = "e.hash"
    if connection.vendor == "sqlite":
        columns = {name: _stored(column, _KINDS[name]) for name, column in columns.items()}
        yield from _read_plain(connection, _PLACES.format(**columns, where=where))
    else:
        yield from _read_postgresql(connection, _PLACES.format(**columns, where=where))


def counts() -> tuple[Any, ...]:
    """Events, positions, the least and the greatest position, and events that wait for one."""
    connection = connections[log_database()]
    number = _stored("n", "integer") if connection.vendor == "sqlite" else "n"
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS.replace("{least}", number))
        found: tuple[Any, ...] = cursor.fetchone()
        return found


def pending(where: str = "") -> Iterator[tuple[Any, Any, Any]]:
    """(stream_id, first, last) of the appends without positions, in order; `where` as above."""
    connection = connections[log_database()]
    columns = ["e.stream_id", "e.first", "e.last"]
    if connection.vendor == "sqlite":
        columns = [_stored(column, "integer") for column in columns]
    yield from _read_plain(
        connection,
        f"SELECT {', '.join(columns)} FROM turnlog_pending e {where} ORDER BY e.stream_id, e.first",
    )


def checkpoints() -> Iterator[tuple[Any, Any, str]]:
    """(id, size, note) of all signed checkpoints, in the order in which they were signed."""
    connection = connections[log_database()]
    size, note = "size", "note"
    if connection.vendor == "sqlite":
        size, note = _stored(size, "integer"), _stored(note, "text")
    sql = f"SELECT id, {size}, {note} FROM turnlog_signed_checkpoint ORDER BY id"
    for pk, number, stored in _read_plain(connection, sql):
        # What is no text is no checkpoint either.
        yield pk, number, stored.decode(errors="replace") if type(stored) is bytes else stored


def leaves(after: int, until: int) -> list[tuple[Any, Any]]:
    """(position, the event's hash or None) of the positions after one up to another."""
    connection = connections[log_database()]
    position, hash_ = "p.position", "e.hash"
    if connection.vendor == "sqlite":
        position, hash_ = _stored(position, "integer"), _stored(hash_, "blob")
    sql = (
        f"SELECT {position}, {hash_} FROM turnlog_position p LEFT JOIN turnlog_event e"
        " ON e.stream_id = p.stream_id AND e.version = p.version"
        f" WHERE p.position > {int(after)} AND p.position <= {int(until)} ORDER BY p.position"
    )
    return list(_read_plain(connection, sql))


def tiles(
    level: int, first: int = 0, last: int | None = None
) -> Iterator[tuple[Any, bytes, bytes]]:
    """(number, hashes, root) of a level's stored tiles from one to another, in order; empty for
    what is no bytes."""
    connection = connections[log_database()]
    number, hashes, root = "number", "hashes", "root"
    if connection.vendor == "sqlite":
        number = _stored(number, "integer")
        hashes, root = _stored(hashes, "blob"), _stored(root, "blob")
    sql = f"SELECT {number}, {hashes}, {root} FROM turnlog_tile WHERE level = {int(level)}"
    if last is not None:
        sql += f" AND turnlog_tile.number BETWEEN {int(first)} AND {int(last)}"
    for place, *values in _read_plain(connection, f"{sql} ORDER BY turnlog_tile.number"):
        yield place, *(b"" if isinstance(value, str) else bytes(value) for value in values)


def tile_levels() -> Iterator[tuple[Any, Any]]:
    """(level, the greatest number of a tile of it)."""
    connection = connections[log_database()]
    level, last = "t.level", "t.last"
    if connection.vendor == "sqlite":
        level, last = _stored(level, "integer"), _stored(last, "integer")
    yield from _read_plain(
        connection,
        f"SELECT {level}, {last} FROM (SELECT level, max(number) AS last FROM turnlog_tile"
        " GROUP BY level) t ORDER BY t.level",
    )


def _stored(column: str, kind: str) -> str:
    """SQLite's value of a column, and '?' for what is of another kind than the column is for.

    Text as bytes, for it may not be UTF-8; and never straight from the column, for Django converts
    what comes from there.
    """
    value = f"CAST({column} AS BLOB)" if kind == "text" else f"+{column}"
    return f"CASE typeof({column}) WHEN '{kind}' THEN {value} WHEN 'null' THEN NULL ELSE '?' END"


def _read_events(sql: str) -> Iterator[Any]:
    connection = connections[log_database()]
    if connection.vendor == "sqlite":
        columns = ", ".join(_stored(f"e.{name}", _KINDS[name]) for name in Row._fields[:13])
        columns = columns.replace("e.position", "p.position")
        rows = _read_plain(connection, sql.format(columns=columns))
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


def _read_plain(connection: BaseDatabaseWrapper, sql: str) -> Iterator[Any]:
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
        if value is None and name in _NULLABLE:
            continue
        try:
            values[place] = read(value)
        except ValueError:
            unreadable.append(name)
            values[place] = None
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
    ("position", _number),
]
_NULLABLE = ("turn_id", "actor_id", "payload", "salt", "position")
