"""Check that the version in the code has made each projection's rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import DatabaseError, connections

from ...events.models import Event
from ...events.tables.database import log_database
from .checkpoints import ensure, find, is_outdated, why_outdated
from .model import Checkpoint
from .registry import problems, registered

logger = logging.getLogger("turnlog")


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


def check_versions(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Report turnlog.W001 for each projection whose rows are not of its present version.

    Tagged as a database check: Django runs it where a command names the log's database.
    """
    if log_database() not in (databases or ()):
        return []
    return [checks.Warning(sentence, id="turnlog.W001") for sentence in _outdated_if_readable()]


def warn_of_outdated() -> None:
    """Log what turnlog.W001 reports: a server or a worker that starts runs no database checks."""
    for sentence in _outdated_if_readable():
        logger.warning("%s", sentence)


def _outdated_if_readable() -> list[str]:
    if problems():
        return []  # turnlog.E005 reports these.
    try:
        return outdated()
    except DatabaseError:
        # Not migrated, or not reachable: no reader sees stale rows, and whatever needs the
        # database reports it.
        return []
