"""How far each projection has read, and of which version its rows are."""

from __future__ import annotations

from ...events.tables.database import log_database
from .contract import Contract
from .model import Checkpoint


NEVER_BUILT = 0
"""The version of rows of which some may never have been made."""


def find(projection: Contract) -> Checkpoint | None:
    """A projection's checkpoint; None if nothing has ever been built."""
    return Checkpoint.objects.using(log_database()).filter(name=projection.name).first()


def ensure(projection: Contract) -> Checkpoint:
    """A projection's checkpoint, made at position 0 where there is none."""
    checkpoints = Checkpoint.objects.using(log_database())
    defaults = {"version": projection.version, "inline": projection.inline}
    return checkpoints.get_or_create(name=projection.name, defaults=defaults)[0]


def checkpoint_of(projection: Contract) -> int | None:
    """The position up to which a projection's rows stand; None for rows that are or were kept
    inline, which stand at every stream's head."""
    found = find(projection)
    if projection.inline or (found is not None and found.inline):
        return None
    return found.position if found else 0


def is_outdated(projection: Contract, checkpoint: Checkpoint | None) -> bool:
    """Whether the rows were made by another version than the code's, or in another way, or never.

    An async projection that was never made is not: its worker makes it.
    """
    if checkpoint is None:
        return projection.inline
    return (checkpoint.version, checkpoint.inline) != (projection.version, projection.inline)


def why_outdated(projection: Contract, checkpoint: Checkpoint | None) -> str:
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


def rebuild_command(projection: Contract) -> str:
    return f"manage.py rebuild_projections {projection.name}"
