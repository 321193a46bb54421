"""How far each projection has read, and which version made its rows."""

from __future__ import annotations

from ...events.tables.database import log_database
from .contract import Contract
from .model import Checkpoint

NEVER_BUILT = 0
"""The version of rows some of which may never have been made."""


def find(projection: Contract) -> Checkpoint | None:
    """Return a projection's checkpoint; None if it was never built."""
    return Checkpoint.objects.using(log_database()).filter(name=projection.name).first()


def ensure(projection: Contract) -> Checkpoint:
    """Return a projection's checkpoint; create it at position 0 if there is none."""
    checkpoints = Checkpoint.objects.using(log_database())
    defaults = {"version": projection.version, "inline": projection.inline}
    return checkpoints.get_or_create(name=projection.name, defaults=defaults)[0]


def checkpoint_of(projection: Contract) -> int | None:
    """Return the position that a projection's rows have reached.

    None for rows that are or were kept inline: they have reached every stream's head.
    """
    found = find(projection)
    if projection.inline or (found is not None and found.inline):
        return None
    return found.position if found else 0


def is_outdated(projection: Contract, checkpoint: Checkpoint | None) -> bool:
    """Return whether the rows were never made, or made by another version or in another way.

    An async projection that was never built is not outdated: its worker builds it.
    """
    if checkpoint is None:
        return projection.inline
    return (checkpoint.version, checkpoint.inline) != (projection.version, projection.inline)


def why_outdated(projection: Contract, checkpoint: Checkpoint | None) -> str:
    """Return one sentence that says why the projection must be rebuilt, and how."""
    if checkpoint is None:
        made = "was never built from the existing events"
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
