"""What the last days have used, as charts that need no script: bars of an SVG, and a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from ...events.tables.database import log_database
from ...projections.models import Usage

DAYS = 60
_MODELS = 50


@dataclass(frozen=True, slots=True)
class Bar:
    """One day in a chart whose bars are at most 100 high; `failed` is the failures' part."""

    x: int
    day: dt.date
    value: float
    height: float
    failed: float = 0.0


@dataclass(frozen=True, slots=True)
class Chart:
    """One measure of each day; `most` is the value of the highest bar."""

    name: str
    most: float
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Lately:
    """What the last 60 days have used: by day, of one model or of all, and by model."""

    charts: Sequence[Chart]
    days: Sequence[Mapping[str, Any]]
    models: Sequence[Mapping[str, Any]]


def lately(model: str | None = None) -> Lately:
    """Return what the last days have used, of one model or of all, in two queries."""
    # As `Usage` has it: days in UTC.
    today = timezone.now().astimezone(dt.UTC).date()
    used = Usage.objects.using(log_database()).filter(day__gt=today - dt.timedelta(days=DAYS))
    of_model = used if model is None else used.filter(model=model)
    days = [*of_model.by("day").order_by("day")]
    charts = [
        _chart(_("Turns"), today, {row["day"]: _asked(row) for row in days}, _failures(days)),
        _chart(_("Tokens"), today, {row["day"]: row["total_tokens"] for row in days}),
        _chart(
            _("Seconds, on average"), today, {row["day"]: row["mean_seconds"] or 0 for row in days}
        ),
    ]
    return Lately(charts, days, list(used.by("model").order_by("-turns")[:_MODELS]))


def _asked(row: Mapping[str, Any]) -> int:
    return int(row["turns"] + row["failures"])


def _failures(days: Sequence[Mapping[str, Any]]) -> dict[dt.date, float]:
    return {row["day"]: row["failures"] for row in days}


def _chart(
    name: str,
    today: dt.date,
    values: Mapping[dt.date, float],
    failures: Mapping[dt.date, float] | None = None,
) -> Chart:
    most = max(values.values(), default=0)
    scale = 100 / (most or 1)
    bars = []
    for number in range(DAYS):
        day = today - dt.timedelta(days=DAYS - 1 - number)
        if value := values.get(day, 0):
            failed = (failures or {}).get(day, 0)
            bars.append(
                Bar(10 * number, day, value, round(scale * value, 1), round(scale * failed, 1))
            )
    return Chart(name, most, bars)
