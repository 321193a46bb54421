"""Queues and their items, for pages. What is counted and what is listed come from one query."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from ...core.errors import UnknownQueue
from ...events.models import Actor
from ...events.tables.database import log_database
from .model import Queue, QueueItem, QueueMark

STATUSES = ("pending", "in_progress", "awaiting", "flagged", "completed", "gone")
"""How an item stands now: an open one is in progress while somebody works on it, and once somebody
has completed it."""


def queue_named(number: int) -> Queue:
    """Return a queue by its number. Raises UnknownQueue."""
    queues = Queue.objects.using(log_database())
    queue = queues.filter(number=number).first() if number < 2**31 else None
    if queue is None:
        raise UnknownQueue(number)
    return queue


def items(now: dt.datetime | None = None) -> QuerySet[Any]:
    """Return the items of all queues, each with its `status`."""
    claims = QueueMark.objects.filter(
        stream_id=OuterRef("stream_id"),
        conversation=OuterRef("conversation"),
        kind="claim",
        until__gt=now or timezone.now(),
    )
    status = Case(
        When(~Q(state="open"), then=F("state")),
        When(Q(done__gt=0) | Exists(claims), then=Value("in_progress")),
        default=Value("pending"),
    )
    return QueueItem.objects.using(log_database()).annotate(status=status)


def counts(streams: Sequence[int], now: dt.datetime | None = None) -> dict[int, dict[str, int]]:
    """Return how many items of these queues have which status, by stream."""
    found: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(STATUSES, 0))
    rows = items(now).filter(stream_id__in=streams).order_by()
    counted: Any = rows.values("stream_id", "status").annotate(n=Count("pk"))
    for row in counted:
        found[row["stream_id"]][row["status"]] = row["n"]
    return {stream: found[stream] for stream in streams}


def done_by(user: Any, streams: Sequence[int]) -> Mapping[int, int]:
    """Return how many items of these queues a user has completed, by stream."""
    mine = Actor.objects.filter(user=user).values("pk")
    marks = QueueMark.objects.using(log_database()).filter(
        stream_id__in=streams, kind="done", actor_id__in=mine
    )
    rows = marks.order_by().values("stream_id").annotate(n=Count("pk"))
    return {row["stream_id"]: row["n"] for row in rows}
