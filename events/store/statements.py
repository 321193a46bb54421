"""The SQL of an append that both dialects share."""

from __future__ import annotations

from functools import cache

from ..tables.columns import EVENT_COLUMNS, quoted

TURN_STATE = """
    (SELECT type FROM turnlog_event WHERE stream_id = %s AND turn_id = %s
     ORDER BY version DESC LIMIT 1)"""
HEAD = """
    SELECT version, hash, recorded_at FROM turnlog_event
    WHERE stream_id = %s ORDER BY version DESC LIMIT 1"""


@cache
def insert_events(count: int) -> str:
    row = "(" + ", ".join(["%s"] * len(EVENT_COLUMNS)) + ")"
    return f"INSERT INTO turnlog_event ({quoted(EVENT_COLUMNS)}) VALUES " + ", ".join([row] * count)


BATCH = "(SELECT * FROM turnlog_event WHERE stream_id = %s AND version BETWEEN %s AND %s)"


@cache
def insert_at_once(count: int, follow: tuple[str, ...]) -> str:
    # One statement, one round trip.
    steps = [f"batch AS ({insert_events(count)} RETURNING *)"]
    steps += [f"follow{n} AS ({sql.format(events='batch')})" for n, sql in enumerate(follow)]
    return (
        f"WITH {', '.join(steps)}"
        " INSERT INTO turnlog_pending (stream_id, first, last) VALUES (%s, %s, %s)"
    )
