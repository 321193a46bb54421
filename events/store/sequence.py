"""The global order: positions 1, 2, 3, ... without gaps, given after the commit.

An identity column gives no order, because transactions commit late: a reader that follows it skips
events permanently. So each append leaves a row in `turnlog_pending`. A reader that wants the global
order first moves what is pending to `turnlog_position`, one reader at a time.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from ...core.errors import LogDamaged, NotStored
from ..tables.database import log_database
from ..tables.event import Pending
from .confirmed import require_stored
from .dialect import dialect_of
from .isolation import locking

BATCH = 1000

# Within a stream a later batch has a higher id: its writer read the earlier one's commit. So
# the ids of visible rows give each stream's own order.
_BATCH = "SELECT id, coalesce(last - first + 1, 0) FROM turnlog_pending ORDER BY id LIMIT %s"
# Row by row, not by a range of ids: what commits meanwhile may have an id in between. Grouped: a
# trigger of somebody else's may have written a row twice, and that must not stop all readers.
_GIVE_POSITIONS = """
    INSERT INTO turnlog_position (position, stream_id, version)
    SELECT (SELECT coalesce(max(position), 0) FROM turnlog_position)
           + row_number() OVER (ORDER BY min(p.id), e.version), e.stream_id, e.version
    FROM turnlog_pending p
    JOIN turnlog_event e
      ON e.stream_id = p.stream_id AND e.version BETWEEN p.first AND p.last
    WHERE p.id IN ({ids}) AND NOT EXISTS (
        SELECT 1 FROM turnlog_position q
        WHERE q.stream_id = e.stream_id AND q.version = e.version)
    GROUP BY e.stream_id, e.version
"""
_LAST = "SELECT coalesce(max(position), 0) FROM turnlog_position"
# How many events of the batch have no position; where all is well, nobody asks.
_WITHOUT = """
    SELECT count(*) FROM turnlog_pending p
    JOIN turnlog_event e
      ON e.stream_id = p.stream_id AND e.version BETWEEN p.first AND p.last
    WHERE p.id IN ({ids}) AND NOT EXISTS (
        SELECT 1 FROM turnlog_position q
        WHERE q.stream_id = e.stream_id AND q.version = e.version)
"""
# A row whose events are missing stays: it shows verify_log that the log was cut off.
_DROP_PENDING = """
    DELETE FROM turnlog_pending WHERE id IN ({ids}) AND EXISTS (
        SELECT 1 FROM turnlog_position q
        WHERE q.stream_id = turnlog_pending.stream_id AND q.version = turnlog_pending.last)
"""

_STILL_PENDING = _DROP_PENDING.replace("DELETE", "SELECT count(*)", 1)


def sequence() -> int:
    """Give a position to each committed event that has none; return how many there were.

    Raises NotStored if the database does not keep what it is given, LogDamaged if the last position
    is not a number.
    """
    given = 0
    while moved := _sequence_batch():
        given += moved
    return given


def _sequence_batch() -> int:
    using = log_database()
    # Look before becoming a writer: mostly there is nothing to do.
    if not Pending.objects.using(using).exists():
        return 0
    with locking(using), connections[using].cursor() as cursor:
        dialect_of(connections[using]).lock_sequencer(cursor)
        dialect_of(connections[using]).use_indexes(cursor)
        # A separate statement after the lock, so that it sees what the last sequencer did.
        cursor.execute(_BATCH, [BATCH])
        # Literals, not parameters: SQLite allows fewer parameters than a batch may need.
        batch = cursor.fetchall()
        if not batch:
            return 0
        ids = ", ".join(str(int(id_)) for id_, _ in batch)
        before = _last(cursor)
        cursor.execute(_GIVE_POSITIONS.format(ids=ids))
        moved: int = cursor.rowcount
        require_stored("turnlog_position", moved, _last(cursor) - before)
        # Fewer events have come where the log was cut off, which verify_log reports; or where the
        # database has kept only some of their positions.
        if moved != sum(count for _, count in batch):
            cursor.execute(_WITHOUT.format(ids=ids))
            [left] = cursor.fetchone()
            require_stored("turnlog_position", moved + left, moved)
        cursor.execute(_DROP_PENDING.format(ids=ids))
        if cursor.rowcount != len(batch):
            cursor.execute(_STILL_PENDING.format(ids=ids))
            [left] = cursor.fetchone()
            if left:
                what = f"expected to delete {len(batch)} rows, found {left} of them still there"
                raise NotStored("turnlog_pending", what)
    return moved


def _last(cursor: Any) -> int:
    cursor.execute(_LAST)
    [last] = cursor.fetchone()
    if type(last) is not int:
        # SQLite takes any value in any column.
        raise LogDamaged(
            "expected whole numbers in turnlog_position, found something else; run `manage.py"
            " verify_log` for details"
        )
    return last
