"""The SQL of an append that both dialects share."""

from __future__ import annotations

import re
from functools import cache

from ..tables.columns import EVENT_COLUMNS, quoted
from ..types import OPEN_TYPES

# "+ 0" keeps both databases from walking the stream by its versions: the turn's own index
# finds the few rows at once.
_OF_TURN = "FROM turnlog_event WHERE stream_id = %s AND turn_id = %s"
_ASKED = f"""
    (SELECT type {_OF_TURN} ORDER BY version + 0 DESC LIMIT 1),
    (SELECT actor_id {_OF_TURN} ORDER BY version + 0 LIMIT 1),
    EXISTS (SELECT 1 {_OF_TURN} AND payload IS NULL)"""
_NOT_ASKED = "NULL, NULL, NULL"
# A turn's last event says how it stands: a turn that has not ended has few.
_LAST = """
        (SELECT {column} FROM turnlog_event last
         WHERE last.stream_id = %s AND last.turn_id = started.turn_id
         ORDER BY last.version + 0 DESC LIMIT 1)"""
_STANDING = """
    SELECT head.version, head.hash, head.recorded_at,{asked},
        started.version, started.turn_id, started.actor_id,{state},{metadata},
        (SELECT max(version) FROM turnlog_event
         WHERE stream_id = %s AND type = 'BranchChosen'){also}
    FROM {first}
    LEFT JOIN (
        SELECT version, hash, recorded_at FROM turnlog_event
        WHERE stream_id = %s ORDER BY version DESC LIMIT 1) head ON true
    LEFT JOIN (
        SELECT version, turn_id, actor_id FROM turnlog_event
        WHERE stream_id = %s AND type = 'TurnStarted' ORDER BY version DESC LIMIT 1) started
    ON NOT EXISTS (
        SELECT 1 FROM turnlog_event ended
        WHERE ended.stream_id = %s AND ended.turn_id = started.turn_id
          AND ended.version + 0 > started.version AND ended.type NOT IN ({open}))
"""

BATCH = "(SELECT * FROM turnlog_event WHERE stream_id = %s AND version BETWEEN %s AND %s)"
"""The events of one stream from one version to another."""

PENDING = "INSERT INTO turnlog_pending (stream_id, first, last)"


@cache
def standing(asked: bool, first: str, also: str = "") -> str:
    """Return the SQL that reads a standing; `first` is a relation of one row, evaluated first, and
    `also` an expression to select beside it.

    Parameters: stream and turn, three times, if `asked`; the stream, three times; those of `first`;
    the stream, three times.
    """
    return _STANDING.format(
        asked=_ASKED if asked else _NOT_ASKED,
        state=_LAST.format(column="type"),
        metadata=_LAST.format(column="metadata"),
        first=first,
        also=f", {also}" if also else "",
        open=", ".join(f"'{name}'" for name in OPEN_TYPES),
    )


@cache
def values(count: int, casts: tuple[str, ...] = ()) -> str:
    """Return the VALUES of a batch; with `casts`, its first row states the types."""
    marks = ", ".join(["%s"] * len(EVENT_COLUMNS))
    typed = ", ".join(f"%s::{cast}" for cast in casts) or marks
    return "VALUES " + ", ".join([f"({typed})", *[f"({marks})"] * (count - 1)])


@cache
def insert_events(count: int) -> str:
    """Return the INSERT of a batch of events."""
    return f"INSERT INTO turnlog_event ({quoted(EVENT_COLUMNS)}) {values(count)}"


@cache
def split(insert: str) -> tuple[str, str]:
    """Return an inline projection's `insert` in two: up to its SELECT, and from there on.

    Both are empty if not every row that it selects is inserted, because of an ON CONFLICT.
    """
    found = re.fullmatch(r"(\s*INSERT\b.*?)(\bSELECT\b.*)", insert, re.DOTALL | re.IGNORECASE)
    partly = re.search(r"\b(ON\s+CONFLICT|RETURNING)\b", insert, re.IGNORECASE)
    return ("", "") if found is None or partly else (found[1], found[2])


@cache
def target(insert: str) -> str:
    """Return the table that an inline projection's `insert` writes."""
    found = re.search(r"\bINTO\s+(\S+)", insert, re.IGNORECASE)
    return "" if found is None else found[1].strip('"')
