"""Whether the log and its projections are well. What is not known is said to be unknown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Max
from django.utils import timezone

from ...events.models import Event, Position, SignedCheckpoint
from ...events.tables.database import log_database
from ...projections.engine.registry import registered
from ...projections.engine.status import Status, status
from ...projections.models import Usage

_DAYS, _MODELS = 60, 50
_MAX_LAG = 60.0


@dataclass(frozen=True, slots=True)
class Day:
    """One day's sums, and the heights of its bars in a chart of 100."""

    day: Any
    turns: int
    failures: int
    tokens: int
    x: int = 0
    height: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """The log's last position, the last signed checkpoint (None: never signed), the projections'
    states, and what the last 60 days have used: by day, and by model."""

    position: int
    last_event: Any
    checkpoint: SignedCheckpoint | None
    projections: Sequence[Status]
    days: Sequence[Day]
    models: Sequence[Any]

    @property
    def unsigned(self) -> int:
        """How many positions no signed checkpoint covers."""
        return self.position - (self.checkpoint.size if self.checkpoint else 0)


def health_of() -> Health:
    """Return how the log is. The number of queries depends on the number of projections alone."""
    using = log_database()
    position = Position.objects.using(using).aggregate(last=Max("position"))["last"] or 0
    return Health(
        position,
        Event.objects.using(using).order_by("-id").values_list("recorded_at", flat=True).first(),
        SignedCheckpoint.objects.using(using).order_by("-size", "-id").first(),
        [status(each, max_lag=_MAX_LAG) for each in registered()],
        _days(),
        list(_lately().by("model").order_by("-turns")[:_MODELS]),
    )


def _lately() -> Any:
    since = timezone.now().date() - dt.timedelta(days=_DAYS)
    return Usage.objects.using(log_database()).filter(day__gt=since)


def _days() -> list[Day]:
    last = list(_lately().by("day").order_by("day"))
    most = max((row["turns"] + row["failures"] for row in last), default=0) or 1
    return [
        Day(
            row["day"],
            row["turns"],
            row["failures"],
            row["total_tokens"],
            x=10 * number,
            height=round(100 * (row["turns"] + row["failures"]) / most),
            failed=round(100 * row["failures"] / most),
        )
        for number, row in enumerate(last)
    ]
