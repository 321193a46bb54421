"""Check that the version in the code has made each projection's rows."""

from __future__ import annotations

from typing import Any

from django.core import checks, mail
from django.db import DatabaseError, connections

from ...events.models import Event
from ...events.tables.database import log_database
from .checkpoints import ensure, find, is_outdated, why_outdated
from .model import Checkpoint
from .registry import problems, registered


def note_versions(using: str) -> None:
    """Note that inline projections of an empty log are up to date; runs after each migrate."""
    tables = connections[using].introspection.table_names()
    if using != log_database() or Checkpoint._meta.db_table not in tables:
        return
    if Event._meta.db_table not in tables or Event.objects.using(using).exists():
        return
    for projection in registered():
        if projection.inline:
            ensure(projection)


def outdated() -> list[str]:
    """Return one sentence for each projection whose rows must be rebuilt."""
    return [
        why_outdated(projection, checkpoint)
        for projection in registered()
        if is_outdated(projection, checkpoint := find(projection))
    ]


def check_versions(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report turnlog.W001 for each projection whose rows are not of its present version.

    This is not tagged as a database check, because those do not run when a server starts.
    """
    if problems():
        return []  # turnlog.E005 reports these.
    if hasattr(mail, "outbox"):
        # In Django's test environment, a test may forbid all queries, and no rows are old.
        return []
    try:
        stale = outdated()
    except DatabaseError:
        # The database is not migrated or not reachable: it serves no stale rows, and code that
        # needs it reports that itself.
        return []
    return [checks.Warning(sentence, id="turnlog.W001") for sentence in stale]
