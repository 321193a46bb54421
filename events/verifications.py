"""What was verified of the log, and with what result: events in a side stream of their own."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Max

from .beside import VERIFICATIONS, found, opened
from .log import NewEvent, append
from .tables.database import log_database
from .tables.event import Event, Position
from .tables.proof import SignedCheckpoint
from .types import LogVerified


class Span(NamedTuple):
    """The positions after `since`, up to `until`."""

    since: int
    until: int


def all_positions() -> Span:
    """The positions that there are now.

    What is appended while they are verified may be verified, too; it is not counted.
    """
    last = Position.objects.using(log_database()).aggregate(last=Max("position"))["last"]
    return Span(0, last or 0)


def unsigned_positions() -> Span:
    """Those that came after the last signed checkpoint; all if there is none."""
    signed = SignedCheckpoint.objects.using(log_database()).aggregate(size=Max("size"))["size"]
    return Span(signed or 0, all_positions().until)


def record(span: Span, problems: int) -> Event:
    """Record how many problems were found in some positions."""
    verified = LogVerified(span.until, problems, span.since)
    return append(opened(VERIFICATIONS), [NewEvent(verified)])[-1]


def last_verification() -> Event | None:
    """The last record; None if there is none."""
    if (stream := found(VERIFICATIONS)) is None:
        return None
    events = Event.objects.using(log_database()).filter(stream_id=stream)
    return events.order_by("-version").first()
