"""Which columns of the read models hold people's words: PostgreSQL keeps no samples of them."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from ...events.store import no_samples as statistics

# Search has its own list, beside its index.
_COLUMNS = {
    "turnlog_checkpoint": ("error",),
    "turnlog_parked": ("error",),
}


def keep_no_samples(connection: BaseDatabaseWrapper) -> None:
    """Run in migrations and after each migrate; does nothing where it is so already."""
    statistics.keep_no_samples(connection, _COLUMNS)
