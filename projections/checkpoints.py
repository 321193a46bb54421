"""How far each projection has read, and of which version its rows are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core import checks, mail
from django.db import DatabaseError, connections

from ..events.dialects import log_database
from ..events.models import Event
from .models import Checkpoint

if TYPE_CHECKING:
    from .projection import Projection


NEVER_BUILT = 0
"""The version of rows of which some may never have been made."""


def find(projection: Projection) -> Checkpoint | None:
    """A projection's checkpoint; None if nothing has ever been built."""
    return Checkpoint.objects.using(log_database()).filter(name=projection.name).first()


def ensure(projection: Projection) -> Checkpoint:
    """A projection's checkpoint, made at position 0 where there is none."""
    checkpoints = Checkpoint.objects.using(log_database())
    defaults = {"version": projection.version, "inline": projection.inline}
    return checkpoints.get_or_create(name=projection.name, defaults=defaults)[0]


def checkpoint_of(projection: Projection) -> int | None:
    """The position up to which a projection's rows stand; None for rows that are or were kept
    inline, which stand at every stream's head."""
    found = find(projection)
    if projection.inline or (found is not None and found.inline):
        return None
    return found.position if found else 0


def is_outdated(projection: Projection, checkpoint: Checkpoint | None) -> bool:
    """Whether the rows were made by another version than the code's, or in another way, or never.

    An async projection that was never made is not: its worker makes it.
    """
    if checkpoint is None:
        return projection.inline
    return (checkpoint.version, checkpoint.inline) != (projection.version, projection.inline)


def why_outdated(projection: Projection, checkpoint: Checkpoint | None) -> str:
    """One sentence for who must rebuild it."""
    if checkpoint is None:
        made = "was never built from the events that are there"
    elif checkpoint.version == projection.version:
        made = f"is {_way(projection.inline)} now, but its rows were kept {_way(checkpoint.inline)}"
    else:
        made = (
            f"is version {projection.version}, but its rows were made by version"
            f" {checkpoint.version}"
        )
    return f"projection {projection.name!r} {made}; run `{rebuild_command(projection)}`"


def _way(inline: bool) -> str:
    return "inline" if inline else "by a worker"


def rebuild_command(projection: Projection) -> str:
    return f"manage.py rebuild_projections {projection.name}"


def note_versions(using: str) -> None:
    """Receiver of post_migrate: an inline projection of an empty log is up to date."""
    from .registry import registered

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
    from .registry import registered

    return [
        why_outdated(projection, checkpoint)
        for projection in registered()
        if is_outdated(projection, checkpoint := find(projection))
    ]


def check_versions(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """turnlog.W001: a projection's rows are not of its present version.

    Not tagged as a database check, for those do not run when a server starts.
    """
    from .registry import problems

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
