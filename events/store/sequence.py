"""The global order: positions 1, 2, 3, ... without gaps, given after the commit.

An identity column is no order, for transactions commit late: whoever follows it skips events for
ever. So each append leaves a row in `turnlog_pending`, and whoever wants the global order first
moves what is pending to `turnlog_position`, one at a time.
"""

from __future__ import annotations

from django.db import connections, transaction

from ..tables.database import log_database
from ..tables.event import Pending
from .dialect import dialect_of

BATCH = 1000

# Within a stream a later batch has a higher id: its writer read the earlier one's commit. Ids of
# visible rows therefore give every stream's own order.
_BATCH = "SELECT id FROM turnlog_pending ORDER BY id LIMIT %s"
# Row by row, not by a range of ids: what commits meanwhile may have an id in between.
_GIVE_POSITIONS = """
    INSERT INTO turnlog_position (position, stream_id, version)
    SELECT (SELECT coalesce(max(position), 0) FROM turnlog_position)
           + row_number() OVER (ORDER BY p.id, e.version), e.stream_id, e.version
    FROM turnlog_pending p
    JOIN turnlog_event e
      ON e.stream_id = p.stream_id AND e.version BETWEEN p.first AND p.last
    WHERE p.id IN ({ids}) AND NOT EXISTS (
        SELECT 1 FROM turnlog_position q
        WHERE q.stream_id = e.stream_id AND q.version = e.version)
"""
# A row whose events are not there stays: it is how verify_log sees a log that was cut off.
_DROP_PENDING = """
    DELETE FROM turnlog_pending WHERE id IN ({ids}) AND EXISTS (
        SELECT 1 FROM turnlog_position q
        WHERE q.stream_id = turnlog_pending.stream_id AND q.version = turnlog_pending.last)
"""


def sequence() -> int:
    """Give a position to every committed event that has none; how many there were."""
    given = 0
    while moved := _sequence_batch():
        given += moved
    return given


def _sequence_batch() -> int:
    using = log_database()
    # Without becoming a writer first: mostly there is nothing to do.
    if not Pending.objects.using(using).exists():
        return 0
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        dialect_of(connections[using]).lock_sequencer(cursor)
        dialect_of(connections[using]).use_indexes(cursor)
        # A statement of its own after the lock, so that it sees what the last one has done.
        cursor.execute(_BATCH, [BATCH])
        # Our own numbers, not parameters: SQLite allows fewer of those than a batch may have.
        ids = ", ".join(str(int(id_)) for (id_,) in cursor.fetchall())
        if not ids:
            return 0
        cursor.execute(_GIVE_POSITIONS.format(ids=ids))
        moved: int = cursor.rowcount
        cursor.execute(_DROP_PENDING.format(ids=ids))
    return moved
