"""Waking the workers: NOTIFY after a commit on PostgreSQL, looking again on SQLite."""

from __future__ import annotations

import threading
import time

from django.db import connections

from ...events.tables.database import log_database

CHANNEL = "turnlog_events"
LOOK_AGAIN_SECONDS = {"postgresql": 1.0, "sqlite": 0.25}
_TOLD_EVERY = 0.1  # seconds, at most
_SOON = 0.15  # seconds: longer than nobody was told

_last_told = 0.0


def tell_workers(stream_id: int, version: int) -> None:
    """After a commit: there is news.

    At most ten times a second from each process, for each NOTIFY is a transaction of its own. A
    worker that was woken looks again after longer than that, so nothing waits unseen.
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
    """Hear `tell_workers` of all processes on this thread's connection."""
    connection = connections[log_database()]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")


def wait_for_news(stopped: threading.Event, *, soon: bool) -> None:
    """Return when there is news or `stopped` is set; in any case after a moment, a shorter one if
    there was news just now (`soon`)."""
    connection = connections[log_database()]
    seconds = _SOON if soon else LOOK_AGAIN_SECONDS[connection.vendor]
    if connection.vendor != "postgresql" or connection.connection is None:
        stopped.wait(seconds)
        return
    # The driver's own, past Django's cursor: its errors become Django's here.
    with connection.wrap_database_errors:
        for _ in connection.connection.notifies(timeout=seconds, stop_after=1):
            return
