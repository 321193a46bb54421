"""Read the log for projections: by conversation for rebuilds, by position for the worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connections

from ...core.errors import UnreadableEvent
from ...events import upcasters
from ...events.models import Event, Position
from ...events.store.dialect import dialect_of
from ...events.tables.columns import APPLIED, quoted
from ...events.tables.database import log_database
from ...events.upcasters import known_names, stored_as
from .contract import Contract

BATCH = 1000
"""The most events that a worker applies in one transaction."""
PAGE = 5000
"""The most events that a process of a rebuild holds in memory."""

_COLUMNS = quoted(APPLIED, "e")


def events_of(
    streams: Sequence[int], projection: Contract, until: int | None
) -> Iterator[list[Event]]:
    """Yield a projection's events of some conversations in batches, each conversation's in order.

    If `until` is given, only events up to that position. The events are read page by page, by their
    key: memory does not grow with the conversation, and no server-side cursor stays open.
    """
    ids = ", ".join(str(int(stream)) for stream in streams)
    where, parameters = _wanted(projection)
    source = "turnlog_event e"
    if until is not None:
        source += " JOIN turnlog_position p ON p.stream_id = e.stream_id AND p.version = e.version"
        where += f" AND p.position <= {int(until)}"
    sql = (
        f"SELECT {_COLUMNS} FROM {source} WHERE e.stream_id IN ({ids})"
        f" AND (e.stream_id, e.version) > (%s, %s){where}"
        f" ORDER BY e.stream_id, e.version LIMIT {PAGE}"
    )
    stream_id = version = 0
    while True:
        page = _load(sql, [stream_id, version, *parameters])
        if events := given(page, projection):
            yield events
        if len(page) < PAGE:
            return
        stream_id, version = page[-1].stream_id, page[-1].version


def events_between(after: int, until: int, projection: Contract) -> list[Event]:
    """Return a projection's events with `after` < position <= `until`, in order, with positions."""
    where, parameters = _wanted(projection)
    return given(
        _load(
            f"SELECT {_COLUMNS}, p.position FROM turnlog_position p JOIN turnlog_event e"
            " ON e.stream_id = p.stream_id AND e.version = p.version"
            f" WHERE p.position > %s AND p.position <= %s{where} ORDER BY p.position",
            [after, until, *parameters],
        ),
        projection,
    )


def _load(sql: str, parameters: Sequence[Any]) -> list[Event]:
    connection = connections[log_database()]
    return dialect_of(connection).events(connection, sql, parameters)


def last_position() -> int:
    """Return the last position given so far; 0 if there is none."""
    positions = Position.objects.using(log_database()).order_by("-position")
    return positions.values_list("position", flat=True).first() or 0


def _wanted(projection: Contract) -> tuple[str, list[Any]]:
    # Leaves out the other known types, rather than selecting the handled ones: an event of an
    # unknown type must not be skipped, see `applying`.
    others = sorted(known_names() - stored_as(projection.handles))
    marks = ", ".join(["%s"] * len(others))
    erased = "" if projection.takes_erased else " AND e.payload IS NOT NULL"
    return (f" AND e.type NOT IN ({marks})" if others else "") + erased, others


def given(events: Iterable[Event], projection: Contract) -> list[Event]:
    """Return the events that `apply` is given: in today's form, and of types it handles.

    Events that cannot be read are returned as well, as they are.
    """
    if not upcasters.registered():
        return list(events)
    found = []
    for event in events:
        try:
            current = event.current
        except UnreadableEvent:
            found.append(event)
        else:
            if current.type in projection.handles:
                found.append(current)
    return found
