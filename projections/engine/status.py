"""The state of projections: their positions, their lag, and whether a worker looks after them."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import F, Sum
from django.db.models.functions import Now

from ...events import runners
from ...events.models import Event, Pending, Position, Runner
from ...events.tables.database import log_database
from .checkpoints import is_outdated, rebuild_command, why_outdated
from .model import Checkpoint, Parked
from .projection import Projection
from .reading import last_position
from .worker import is_stopped

SILENT_SECONDS = 10.0


@dataclass(slots=True)
class Status:
    """One projection's state; a field is None if it is not known.

    `ok` is true only if the projection is known to be well. `position`, `head` and `lag_events`
    count events; `lag_seconds` is the age of the oldest event that is not applied, `heartbeat_age`
    the seconds since the worker last reported.
    """

    name: str
    inline: bool
    version: int
    head: int
    state: str = "current"
    advice: str = ""
    rows_version: int | None = None
    position: int | None = None
    lag_events: int | None = None
    lag_seconds: float | None = None
    heartbeat_age: float | None = None
    worker: str | None = None
    parked: int = 0

    @property
    def ok(self) -> bool:
        return self.state == "current"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and `ok`, for JSON."""
        return {"ok": self.ok, **asdict(self)}


def status(projection: Projection, *, max_lag: float) -> Status:
    """Return a projection's state; more than `max_lag` seconds of lag count as not well."""
    using = log_database()
    checkpoint: Any = (
        Checkpoint.objects.using(using).filter(name=projection.name).annotate(now=Now()).first()
    )
    known = Status(projection.name, projection.inline, projection.version, _head())
    known.parked = Parked.objects.using(using).filter(projection=projection.name).count()
    if checkpoint is not None:
        known.rows_version = checkpoint.version
        if not projection.inline:
            _measure(known, checkpoint)
    known.state, known.advice = _judge(projection, checkpoint, known, max_lag)
    return known


def _measure(known: Status, checkpoint: Any) -> None:
    known.position = checkpoint.position
    known.lag_events = known.head - checkpoint.position
    oldest = _first_after(checkpoint.position)
    known.lag_seconds = _age(checkpoint.now, oldest) if known.lag_events else 0.0
    if checkpoint.heartbeat is not None:
        known.heartbeat_age = _age(checkpoint.now, checkpoint.heartbeat)
    runner = Runner.objects.using(log_database()).filter(pk=checkpoint.worker).first()
    known.worker = str(runner) if runner else None


def _judge(
    projection: Projection, checkpoint: Any, known: Status, max_lag: float
) -> tuple[str, str]:
    """Return the worst known state, and what to do about it; an unknown state is never well."""
    run = "run `manage.py run_projections`"
    if checkpoint is not None and checkpoint.rebuild_version is not None:
        if checkpoint.rebuilder is not None and not runners.is_gone(checkpoint.rebuilder):
            return "rebuilding", "wait until the rebuild ends"
        return "rebuild cut off", f"run `{rebuild_command(projection)} --resume`"
    if (known.lag_events or 0) < 0:
        why = "the log was restored from a backup that is older than the checkpoint"
        return "ahead", f"{why}; run `{rebuild_command(projection)}`"
    if is_outdated(projection, checkpoint):
        return "outdated", why_outdated(projection, checkpoint)
    if checkpoint is None:
        return "unknown", f"no worker has run it yet; {run}"
    if is_stopped(projection, checkpoint):
        return "stopped", _failure(checkpoint) + f"; fix the projection, then {run} again"
    if checkpoint.failures:
        return "retrying", _failure(checkpoint)
    if known.parked:
        rebuild = f"{rebuild_command(projection)} --conversation PK"
        return "parked", f"events were parked; fix the projection, then run `{rebuild}`"
    if not projection.inline:
        if known.heartbeat_age is None or known.heartbeat_age > SILENT_SECONDS:
            return "no worker", run
        if known.lag_seconds is None:
            return "unknown", "events are missing from the log; run `manage.py verify_log`"
        if known.lag_seconds > max_lag:
            return "behind", "wait, or find out what is slowing the worker"
    return "current", ""


def _failure(checkpoint: Checkpoint) -> str:
    return f"position {checkpoint.failed_at} cannot be applied: {checkpoint.error}"


def parked(projection: Projection) -> list[Parked]:
    """Return the parked events, in order."""
    rows = Parked.objects.using(log_database()).filter(projection=projection.name)
    return list(rows.order_by("stream_id", "version"))


def _head() -> int:
    """Return the last position there is or will be, once all committed events are sequenced."""
    pending = Pending.objects.using(log_database()).aggregate(
        events=Sum(F("last") - F("first") + 1)
    )
    return last_position() + (pending["events"] or 0)


def _first_after(position: int) -> dt.datetime | None:
    """Return when the first event after a position was recorded; None if it cannot be found."""
    using = log_database()
    place = Position.objects.using(using).filter(position=position + 1).first()
    if place is not None:
        event = Event.objects.using(using).filter(stream_id=place.stream_id, version=place.version)
        return event.values_list("recorded_at", flat=True).first()
    first = Pending.objects.using(using).order_by("id").first()
    if first is None:
        return None
    event = Event.objects.using(using).filter(stream_id=first.stream_id, version=first.first)
    return event.values_list("recorded_at", flat=True).first()


def _age(now: dt.datetime, then: dt.datetime | None) -> float | None:
    return None if then is None else round(max(0.0, (now - then).total_seconds()), 3)
