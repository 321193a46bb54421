"""The columns of the read models that hold people's words: PostgreSQL keeps no samples of them."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ...events.store import no_samples as statistics

# The search projection has its own list, beside its index.
_COLUMNS = {
    "turnlog_checkpoint": ("error",),
    "turnlog_parked": ("error",),
    "turnlog_access": ("query", "reason"),
    "turnlog_remark": ("text", "quote"),
    "turnlog_view": ("query",),
    "turnlog_queue": ("name", "instructions", "fills"),
    "turnlog_queue_mark": ("scores", "reason"),
}


def keep_no_samples(connection: BaseDatabaseWrapper) -> None:
    """Stop PostgreSQL from sampling these columns, unless it has stopped already.

    Migrations call this, and so does each `migrate`.
    """
    statistics.keep_no_samples(connection, _COLUMNS)
