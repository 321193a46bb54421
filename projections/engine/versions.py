"""Whether each projection's rows were made by the version of it that is in the code."""

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
    """Receiver of post_migrate: an inline projection of an empty log is up to date."""
    tables = connections[using].introspection.table_names()
    if using != log_database() or Checkpoint._meta.db_table not in tables:
        return
    if Event._meta.db_table not in tables or Event.objects.using(using).exists():
        return
    for projection in registered():
        if projection.inline:
            ensure(projection)


def outdated() -> list[str]:
    """One sentence for each projection whose rows must be made anew."""
    return [
        why_outdated(projection, checkpoint)
        for projection in registered()
        if is_outdated(projection, checkpoint := find(projection))
    ]


def check_versions(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """turnlog.W001: a projection's rows are not of its present version.

    Not tagged as a database check, for those do not run when a server starts.
    """
    if problems():
        return []  # turnlog.E005 speaks of these.
    if hasattr(mail, "outbox"):
        # Under Django's test environment, where a test may forbid all queries, and no rows are old.
        return []
    try:
        stale = outdated()
    except DatabaseError:
        # Not migrated or not reachable: nobody reads stale rows there, and what needs the
        # database says so itself.
        return []
    return [checks.Warning(sentence, id="turnlog.W001") for sentence in stale]
