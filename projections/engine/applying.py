"""Applying events so that one which cannot be applied is found and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connections, transaction

from ...core.errors import ProjectionFailed, UnreadableEvent
from ...events.store.dialect import dialect_of
from ...events.store.faults import is_passing
from ...events.tables.database import log_database
from .contract import Contract
from .model import Parked

if TYPE_CHECKING:
    from ...events.models import Event


def apply(projection: Contract, events: Sequence[Event]) -> ProjectionFailed | None:
    """Apply events in the caller's transaction; what kept one of them from it.

    The events before that one are applied, it and those after it are not. Raises database errors
    that speak of the database, not of an event.
    """
    if not events or not _attempt(projection, events):
        return None
    # All at once it failed and was undone; one by one, the event shows itself.
    for event in events:
        if error := _attempt(projection, [event]):
            return failure(projection, event, error)
    return None


def failure(projection: Contract, event: Event, error: Exception) -> ProjectionFailed:
    """That an event could not be applied, and why."""
    what = f"{type(error).__name__}: {error}"
    place = (projection.name, event.stream_id, event.version)
    if isinstance(error, UnreadableEvent):  # No fault of the projection's.
        failed = ProjectionFailed(*place, what, "do that")
    else:
        failed = ProjectionFailed(*place, what)
    failed.__cause__ = error
    return failed


def apply_or_park(projection: Contract, events: Sequence[Event]) -> None:
    """Apply events, setting aside what cannot be where the projection wants that.

    Raises ProjectionFailed where it does not.
    """
    while failed := apply(projection, events):
        if projection.on_error != "park":
            raise failed
        park(projection, failed)
        places = [(event.stream_id, event.version) for event in events]
        events = events[places.index((failed.stream_id, failed.version)) + 1 :]


def park(projection: Contract, failed: ProjectionFailed) -> None:
    """Set an event aside, to be seen in `projection_status`."""
    Parked.objects.using(log_database()).update_or_create(
        projection=projection.name,
        stream_id=failed.stream_id,
        version=failed.version,
        defaults={"error": failed.error},
    )


def unpark(projection: Contract, streams: Sequence[int]) -> None:
    """Forget what was set aside of conversations that are about to be made anew."""
    parked = Parked.objects.using(log_database())
    parked.filter(projection=projection.name, stream_id__in=streams).delete()


def _require_readable(projection: Contract, events: Sequence[Event]) -> None:
    """Raise UnreadableEvent for an event of which nobody can say whether it is handled.

    Handed over by `reading`; to pass it by would leave rows wrong without a word.
    """
    if {event.type for event in events} <= set(projection.handles):
        return
    for event in events:
        if event.type not in projection.handles:
            event.current  # noqa: B018 - for what it raises


def _attempt(projection: Contract, events: Sequence[Event]) -> Exception | None:
    using = log_database()
    try:
        with transaction.atomic(using=using):
            _require_readable(projection, events)
            projection.apply(events)
            with connections[using].cursor() as cursor:
                # Now, while it is known which events are at fault, and not at the commit.
                dialect_of(connections[using]).check_foreign_keys(cursor)
    except (OperationalError, InterfaceError) as error:
        if is_passing(error):
            raise
        return error
    except Exception as error:  # noqa: BLE001 - a projection is anybody's code
        return error
    return None
