"""Whether somebody waits for a lock on PostgreSQL."""

from __future__ import annotations

from django.db import connection


def somebody_waits(kind: str = "%") -> bool:
    """Return whether a session of this database does; other tests use others of its server.

    `kind` is a pattern for the lock's type. Most locks that a row is waited for with name no
    database, so the session says which it is.
    """
    with connection.cursor() as cursor:
        # A transaction sees the sessions as they were when it first looked, otherwise.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND datname = current_database() AND locktype LIKE %s",
            [kind],
        )
        return bool(cursor.fetchone()[0])
