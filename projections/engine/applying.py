"""Apply events so that an event that cannot be applied is found and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connections, transaction

from ...core.errors import ProjectionFailed, UnreadableEvent
from ...core.faults import is_passing
from ...events.store.dialect import dialect_of
from ...events.tables.database import log_database
from .contract import Contract
from .model import Parked

if TYPE_CHECKING:
    from ...events.models import Event


def apply(projection: Contract, events: Sequence[Event]) -> ProjectionFailed | None:
    """Apply events in the caller's transaction; return the failure of the first faulty event.

    The events before the faulty one are applied. That event and those after it are not. Raises a
    database error if it concerns the database rather than an event.
    """
    if not events or not _attempt(projection, events):
        return None
    # The batch failed as a whole and was rolled back. Applied one by one, the faulty event shows.
    for event in events:
        if error := _attempt(projection, [event]):
            return failure(projection, event, error)
    return None


def failure(projection: Contract, event: Event, error: Exception) -> ProjectionFailed:
    """Return the error that names an event and says why it could not be applied."""
    what = f"{type(error).__name__}: {error}"
    place = (projection.name, event.stream_id, event.version)
    if isinstance(error, UnreadableEvent):  # The projection is not at fault.
        failed = ProjectionFailed(*place, what, "do that")
    else:
        failed = ProjectionFailed(*place, what)
    failed.__cause__ = error
    return failed


def apply_or_park(projection: Contract, events: Sequence[Event]) -> None:
    """Apply events; park those that cannot be applied, if the projection asks for that.

    Otherwise raises ProjectionFailed.
    """
    while failed := apply(projection, events):
        if projection.on_error != "park":
            raise failed
        park(projection, failed)
        places = [(event.stream_id, event.version) for event in events]
        events = events[places.index((failed.stream_id, failed.version)) + 1 :]


def park(projection: Contract, failed: ProjectionFailed) -> None:
    """Park an event; `projection_status` then lists it."""
    Parked.objects.using(log_database()).update_or_create(
        projection=projection.name,
        stream_id=failed.stream_id,
        version=failed.version,
        defaults={"error": failed.error},
    )


def unpark(projection: Contract, streams: Sequence[int]) -> None:
    """Delete the parked events of conversations that are about to be rebuilt."""
    parked = Parked.objects.using(log_database())
    parked.filter(projection=projection.name, stream_id__in=streams).delete()


def _require_readable(projection: Contract, events: Sequence[Event]) -> None:
    """Raise UnreadableEvent for an event that cannot be read and so may be of a handled type.

    `reading` passes such events on: skipping them would leave wrong rows without a warning.
    """
    if {event.type for event in events} <= set(projection.handles):
        return
    for event in events:
        if event.type not in projection.handles:
            event.current  # noqa: B018 - read for the exception that it raises


def _attempt(projection: Contract, events: Sequence[Event]) -> Exception | None:
    using = log_database()
    try:
        with transaction.atomic(using=using):
            _require_readable(projection, events)
            projection.apply(events)
            with connections[using].cursor() as cursor:
                # Checked now, not at the commit: here the events at fault are known.
                dialect_of(connections[using]).check_foreign_keys(cursor)
    except (OperationalError, InterfaceError) as error:
        if is_passing(error):
            raise
        return error
    except Exception as error:  # noqa: BLE001 - a projection may raise anything
        return error
    return None
