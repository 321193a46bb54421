"""Which database holds the log."""

from __future__ import annotations

from django.db import router

from .event import Event


def log_database() -> str:
    """The alias of the one database that holds the log."""
    return router.db_for_write(Event)
