"""Reads events as they are stored, for proofs: as bytes, not decoded.

An administrator may have written anything, so nothing is decoded on the way. PostgreSQL's values
arrive in binary form. SQLite's may be of any type and arrive as they are; if a value is not valid
for its column, the column is named and no error is raised. A million rows take a few seconds.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db import connections

from ..store.hashing import microseconds
from ..tables.database import log_database
from .raw import read_many, stored


class Row(NamedTuple):
    """An event as it is stored, its position (None: not given yet), and the columns whose values
    are not valid (None: all are). Ids are 16 bytes, text is UTF-8, and `recorded_at` is in
    microseconds since 2000, as in PostgreSQL: add EPOCH.

    Most functions yield plain tuples in this order: making Rows takes a tenth of the time.
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
# SQLite's types; PostgreSQL enforces its own. In SQLite, times and ids are texts.
_KINDS = dict.fromkeys(("type", "turn_id", "actor_id", "recorded_at", "payload"), "text")
_KINDS |= {"metadata": "text", "salt": "blob", "digest": "blob", "hash": "blob"}
_KINDS |= dict.fromkeys(("stream_id", "version", "schema", "position"), "integer")


def events(where: str = "", *, by_position: bool = False) -> Iterator[Any]:
    """Yield events in order of stream and version, or of position; `where` is turnlog's own SQL."""
    order = "p.position" if by_position else "e.stream_id, e.version"
    return _read_events(_EVENTS.replace("{where}", where).replace("{order}", order))


def first(where: str) -> Row | None:
    """The first of the selected events, which must be few; None if there is none."""
    # Read to the end, so that the cursor is closed.
    found = list(events(where))
    return Row._make(found[0]) if found else None


def new_events(after: int) -> Iterator[Any]:
    """Yield events after a position and those without one, in order of stream and version."""
    return _read_events(_NEW_EVENTS.replace("{after}", str(int(after))))


def _read_events(sql: str) -> Iterator[Any]:
    columns = ", ".join(stored(f"e.{name}", _KINDS[name]) for name in Row._fields[:13])
    columns = columns.replace("e.position", "p.position")
    if connections[log_database()].vendor == "postgresql":
        return read_many(sql.format(columns=f"{columns}, NULL"))
    return (_checked(row) for row in read_many(sql.format(columns=columns)))


def _checked(row: Sequence[Any]) -> Row:
    """Check a row from SQLite, which accepts any value in any column."""
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
    """16 bytes from 32 hex digits in lower case: there must be one way to write a value."""
    id_ = uuid.UUID(_bytes(value).decode("ascii"))
    if id_.hex.encode() != value:
        raise ValueError
    return id_.bytes


def _time(value: Any) -> int:
    """Microseconds since 2000, from a time as Django writes it: UTC, no fraction if it is 0."""
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
