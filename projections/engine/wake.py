"""Wake the workers: by NOTIFY after a commit on PostgreSQL, by polling on SQLite."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from django.db import connections

from ...events.models import Event
from ...events.tables.database import log_database

CHANNEL = "turnlog_events"
LOOK_AGAIN_SECONDS = {"postgresql": 1.0, "sqlite": 0.25}
_TOLD_EVERY = 0.1  # seconds, at least, between two notifications
_SOON = 0.15  # seconds: longer than the pause between two notifications

_last_told = 0.0


def tell_workers(events: Sequence[Event]) -> None:
    """Wake the workers after a commit.

    Each process does so at most ten times a second, because each NOTIFY is a transaction of its
    own. A worker that was woken looks again after a longer time than that, so it misses nothing.
    """
    global _last_told
    connection = connections[log_database()]
    if connection.vendor != "postgresql":
        return
    now = time.monotonic()
    if now - _last_told < _TOLD_EVERY:
        return
    _last_told = now
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}")


def listen() -> None:
    """Listen on this thread's connection for `tell_workers` in all processes."""
    connection = connections[log_database()]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")


def wait_for_news(stopped: threading.Event, *, soon: bool) -> None:
    """Return when there is news or `stopped` is set, and in any case after a moment.

    The moment is shorter if there was news just now (`soon`).
    """
    connection = connections[log_database()]
    seconds = _SOON if soon else LOOK_AGAIN_SECONDS[connection.vendor]
    if connection.vendor != "postgresql" or connection.connection is None:
        stopped.wait(seconds)
        return
    # This bypasses Django's cursor, so the driver's errors are turned into Django's here.
    with connection.wrap_database_errors:
        for _ in connection.connection.notifies(timeout=seconds, stop_after=1):
            return
