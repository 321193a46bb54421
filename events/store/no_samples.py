"""Keeps PostgreSQL's statistics from holding samples of people's words.

A sample would outlive the erasure of the words. So turnlog turns statistics off for the columns
that hold words, or the salts that hide them: no query looks rows up by these, and the planner does
not need them. The same goes for the columns that say who a pseudonym stands for: they are unique.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

_COLUMNS = {
    "turnlog_event": ("payload", "salt"),
    "turnlog_content": ("text",),
    "turnlog_blob": ("sha256", "size", "data"),
    "turnlog_blob_use": ("sha256",),
    "turnlog_conversation": ("title",),
    "turnlog_upload": ("person", "name", "content"),
    "turnlog_actor": ("id", "user_id"),
}


def keep_no_samples(
    connection: BaseDatabaseWrapper, columns: Mapping[str, Sequence[str]] = _COLUMNS
) -> None:
    """Turn statistics off for these columns, by table. The tables must exist."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for table, names in columns.items():
            cursor.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass"
                " AND attname = ANY (%s) AND attstattarget IS DISTINCT FROM 0",
                [table, list(names)],
            )
            # Only if something must change: the statement waits for a running VACUUM.
            for (name,) in cursor.fetchall():
                cursor.execute(f'ALTER TABLE {table} ALTER COLUMN "{name}" SET STATISTICS 0')


def after_migrate(*, using: str, **kwargs: Any) -> None:
    """Receiver of post_migrate of this app."""
    connection = connections[using]
    if set(_COLUMNS) <= set(connection.introspection.table_names()):
        keep_no_samples(connection)
