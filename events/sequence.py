"""The global order: positions 1, 2, 3, ... without gaps, given after the commit.

An identity column is no order, for transactions commit late: whoever follows it skips events for
ever. So each append leaves a row in `turnlog_pending`, and whoever wants the global order first
moves what is pending to `turnlog_position`, one at a time.
"""

from __future__ import annotations

from django.db import connections, transaction

from .dialects import dialect_of, log_database

BATCH = 1000

# Within a stream a later batch has a higher id: its writer read the earlier one's commit. Ids of
# visible rows therefore give every stream's own order.
_GIVE_POSITIONS = """
    INSERT INTO turnlog_position (position, stream_id, version)
    SELECT (SELECT coalesce(max(position), 0) FROM turnlog_position)
           + row_number() OVER (ORDER BY p.id, e.version), e.stream_id, e.version
    FROM (SELECT * FROM turnlog_pending ORDER BY id LIMIT %s) p
    JOIN turnlog_event e
      ON e.stream_id = p.stream_id AND e.version BETWEEN p.first AND p.last
"""
# What was committed between the two statements has no position and stays.
_DROP_PENDING = """
    DELETE FROM turnlog_pending WHERE EXISTS (
        SELECT 1 FROM turnlog_position q
        WHERE q.stream_id = turnlog_pending.stream_id AND q.version = turnlog_pending.last)
"""


def sequence() -> int:
    """Give a position to every committed event that has none; how many there were."""
    using = log_database()
    given = 0
    while True:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_sequencer(cursor)
            cursor.execute(_GIVE_POSITIONS, [BATCH])
            moved = cursor.rowcount
            cursor.execute(_DROP_PENDING)
        given += moved
        if moved == 0:
            return given
