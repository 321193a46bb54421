"""Which conversations come into a queue: those that a query means, or a sample of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from ...core.errors import QueueRefused
from ...events.tables.database import log_database
from ..overview.finding import matching
from ..overview.model import Overview
from ..overview.query import parse
from .model import QueueItem

MOST_ITEMS, MOST_FOUND = 10_000, 100_000
"""Of one filling: conversations that come into the queue, and those that the query may mean."""

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Sample:
    """How many conversations a query means that are not in the queue, and which of them are to come
    into it, in the order of their numbers."""

    found: int
    numbers: Sequence[int]


def sample(
    stream: int,
    query: str,
    *,
    percent: float,
    seed: str,
    of: QuerySet[Overview] | None = None,
    reviewer: Any = None,
) -> Sample:
    """Return the conversations that a filling brings into a queue, in one query.

    The same seed chooses the same ones of those that are found, whatever else there is. Raises
    QueryError; QueueRefused if they are too many.
    """
    rows = Overview.objects.using(log_database()) if of is None else of
    there = QueueItem.objects.filter(stream_id=stream, conversation=OuterRef("pk"))
    rows = rows.filter(matching(parse(query), None, reviewer)).exclude(Exists(there))
    numbers = list(rows.order_by("pk").values_list("pk", flat=True)[: MOST_FOUND + 1])
    if len(numbers) > MOST_FOUND:
        raise QueueRefused(
            _(
                "Expected a query that finds at most %(most)d conversations, found more: nothing"
                " came into the queue. Ask for fewer, such as by created:2026-11-01..2026-11-30."
            )
            % {"most": MOST_FOUND}
        )
    chosen = [number for number in numbers if is_chosen(number, percent, seed)]
    if len(chosen) > MOST_ITEMS:
        raise QueueRefused(
            _(
                "Expected at most %(most)d conversations at a time, found %(found)d: nothing came"
                " into the queue. Ask for fewer, or for a smaller sample."
            )
            % {"most": MOST_ITEMS, "found": len(chosen)}
        )
    return Sample(len(numbers), chosen)


def in_queue(stream: int, numbers: Sequence[int]) -> set[int]:
    """Return those of some conversations that are in a queue."""
    items = QueueItem.objects.using(log_database()).filter(stream_id=stream)
    there: set[int] = set()
    for start in range(0, len(numbers), _AT_ONCE):
        some = items.filter(conversation__in=numbers[start : start + _AT_ONCE])
        there |= set(some.values_list("conversation_id", flat=True))
    return there


def is_chosen(number: int, percent: float, seed: str) -> bool:
    """Return whether a sample has a conversation; larger samples have those of smaller ones."""
    drawn = int.from_bytes(sha256(f"{seed}/{number}".encode()).digest()[:8])
    return drawn * 100 < percent * 2**64
