"""Finds the event at a moment of a conversation: by version, by time, or the head."""

from __future__ import annotations

import datetime as dt

from django.db import connections
from django.db.models import QuerySet
from django.utils import timezone

from ..core.errors import MomentError
from .tables.columns import LOADED, adapters, quoted
from .tables.conversation import require_conversation
from .tables.database import log_database
from .tables.event import Event

# Time never goes back within a stream, so the last version up to a time is found bit by bit,
# highest first: each step adds its bit if the event of that version was recorded by then. That
# takes 31 probes of the unique index at any length, because versions are 31-bit integers. A scalar
# subquery, because PostgreSQL may answer EXISTS or a join by reading the whole stream.
_COLUMNS = quoted(LOADED, "e")
_AT = f"""
    WITH RECURSIVE search (version, bit) AS (
        SELECT 0, {1 << 30}
        UNION ALL
        SELECT s.version + coalesce(
                (SELECT s.bit FROM turnlog_event p
                 WHERE p.stream_id = %s AND p.version = s.version + s.bit AND p.recorded_at <= %s),
                0),
            s.bit / 2
        FROM search s WHERE s.bit > 0
    )
    SELECT {_COLUMNS} FROM turnlog_event e
    WHERE e.stream_id = %s AND e.version = (SELECT s.version FROM search s WHERE s.bit = 0)
"""


def moment_of(stream_id: int, version: int | None = None, at: dt.datetime | None = None) -> Event:
    """The event of a version, the last one recorded by the time `at`, or the head.

    Raises UnknownConversation; MomentError if the stream does not have the version or the time, if
    the time has no zone, or if both are given.
    """
    if version is not None and at is not None:
        raise MomentError(
            stream_id, f"expected a version or a time, found both ({version!r} and {at}); pass one"
        )
    if version is not None:
        return _numbered(stream_id, version)
    if at is not None:
        return _recorded_by(stream_id, at)
    return _head(stream_id)


def _numbered(stream_id: int, version: int) -> Event:
    if type(version) is not int:
        raise MomentError(
            stream_id,
            f"expected a whole number from 1 on as version, found {version!r}; pass a time as `at`",
        )
    found = _stream(stream_id).filter(version=version).first() if version > 0 else None
    if found is None:
        head = _head(stream_id).version
        raise MomentError(
            stream_id, f"expected a version from 1 to {head} (the head), found {version}"
        )
    return found


def _recorded_by(stream_id: int, at: dt.datetime) -> Event:
    if not isinstance(at, dt.datetime):
        raise MomentError(stream_id, f"expected a datetime with a time zone, found {at!r}")
    if timezone.is_naive(at):
        raise MomentError(
            stream_id,
            f"expected a time with its zone, found {at.isoformat()} without one; add its offset"
            " from UTC, such as +09:00",
        )
    # An event may be dated later than now if the clock was set back since.
    if at > timezone.now() and at > _head(stream_id).recorded_at:
        raise MomentError(
            stream_id,
            f"expected a time in the past, found {at.isoformat()}, which is in the future; leave"
            " the time out for the current state",
        )
    found = _search(stream_id, at)
    if found is None:
        raise MomentError(stream_id, _too_early(stream_id, at))
    return found


def _search(stream_id: int, at: dt.datetime) -> Event | None:
    using = log_database()
    [adapt] = adapters(Event, ["recorded_at"], connections[using])
    try:
        value = adapt(at)
    except OverflowError:  # In UTC it would be before the year 1.
        return None
    events = Event.objects.using(using).raw(_AT, [stream_id, value, stream_id])
    try:
        return next(iter(events), None)
    except OverflowError:  # From SQLite's driver, for a number that no conversation can have.
        require_conversation(stream_id)
        raise


def _too_early(stream_id: int, at: dt.datetime) -> str:
    _head(stream_id)  # Raises its own error for a stream without events.
    first = _stream(stream_id).order_by("version")[0].recorded_at
    return (
        f"expected a time from its first event on, at {first.isoformat()}, found {at.isoformat()},"
        " when it did not exist yet"
    )


def _head(stream_id: int) -> Event:
    head = _stream(stream_id).order_by("-version").first()
    if head is None:
        require_conversation(stream_id)
        raise MomentError(
            stream_id, "expected at least one event, found none; nothing has been said there yet"
        )
    return head


def _stream(stream_id: int) -> QuerySet[Event]:
    return Event.objects.using(log_database()).filter(stream_id=stream_id)
