"""Erasure in the read models: either every projection removes its copies, or nothing is erased."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction

from ...core.errors import ErasureFailed
from ...events.models import Position
from ...events.store.dialect import dialect_of
from ...events.tables.database import log_database
from .checkpoints import checkpoint_of
from .making import rebuild_rows
from .model import Checkpoint, Parked
from .projection import Projection
from .registry import registered

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...events.models import Event

_VERSIONS = 500


def erase(stream_id: int, events: Sequence[Event]) -> None:
    """Let every registered projection erase events whose payloads are gone.

    Runs in the erasure's transaction, which holds the conversation's lock: an inline projection's
    rows are made under that lock. Raises ErasureFailed if a projection fails.
    """
    projections = sorted(registered(), key=lambda projection: projection.name)
    _stop_workers(projections)
    for projection in projections:
        _require(projection, stream_id, lambda each: each.erase(events))
    for start in range(0, len(events), _VERSIONS):
        versions = [event.version for event in events[start : start + _VERSIONS]]
        _blank_errors(stream_id, versions)


def finish(streams: Sequence[int], names: Collection[str]) -> None:
    """Do what projections have left to the end of an erasure of many parts.

    `names` are the projections that said so. One that was cut off before the end is not among them,
    so all that keep sums are made again. Raises ErasureFailed.
    """
    projections = sorted(registered(), key=lambda projection: projection.name)
    _stop_workers(projections)
    for projection in projections:
        _require(projection, streams[0], lambda each: _finish(each, streams, names))


def _finish(projection: Projection, streams: Sequence[int], names: Collection[str]) -> None:
    if projection.name in names or type(projection).erase is Projection.apply_again:
        rebuild_rows(projection, streams, checkpoint_of(projection))
    projection.after_erasure()


def forget(user: Any) -> None:
    """Remove a user from every projection's rows. Raises ErasureFailed if a projection fails."""
    projections = sorted(registered(), key=lambda projection: projection.name)
    for projection in projections:
        _require(projection, None, lambda each: each.forget_user(user))


def _stop_workers(projections: Sequence[Projection]) -> None:
    """Keep workers from applying what they read before: a batch ends first, the next one waits."""
    using = log_database()
    with connections[using].cursor() as cursor:
        for projection in projections:
            if not projection.inline:
                # A shared lock: erasures do not wait for each other. They all lock in one order.
                dialect_of(connections[using]).lock_projection(cursor, projection.name, shared=True)


def _require(
    projection: Projection, stream_id: int | None, work: Callable[[Projection], None]
) -> None:
    try:
        with transaction.atomic(using=log_database()):
            work(projection)
    except Exception as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise ErasureFailed(projection.name, stream_id, what) from error


def _blank_errors(stream_id: int, versions: Sequence[int]) -> None:
    """Blank the stored errors of these events: an error may quote its event."""
    using = log_database()
    there = {"stream_id": stream_id, "version__in": versions}
    Parked.objects.using(using).filter(**there).update(error="")
    positions = Position.objects.using(using).filter(**there).values("position")
    Checkpoint.objects.using(using).filter(failed_at__in=positions).update(error="")
