"""PostgreSQL's statistics hold samples of what stands in a column, beyond its erasure.

So there are none of the columns that hold people's words, or the salts that hide them: nothing is
looked up by them, and the planner does not miss them. Nor of who a pseudonym stands for: unique
columns need none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

_COLUMNS = {
    "turnlog_event": ("payload", "salt"),
    "turnlog_content": ("text",),
    "turnlog_conversation": ("title",),
    "turnlog_actor": ("id", "user_id"),
}


def keep_no_samples(
    connection: BaseDatabaseWrapper, columns: Mapping[str, Sequence[str]] = _COLUMNS
) -> None:
    """Tell PostgreSQL so, where it has not been told; the tables must be there."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for table, names in columns.items():
            cursor.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass"
                " AND attname = ANY (%s) AND attstattarget IS DISTINCT FROM 0",
                [table, list(names)],
            )
            # Only where there is something to say: it waits for a running VACUUM.
            for (name,) in cursor.fetchall():
                cursor.execute(f'ALTER TABLE {table} ALTER COLUMN "{name}" SET STATISTICS 0')


def after_migrate(*, using: str, **kwargs: Any) -> None:
    """Receiver of post_migrate of this app."""
    connection = connections[using]
    if set(_COLUMNS) <= set(connection.introspection.table_names()):
        keep_no_samples(connection)
