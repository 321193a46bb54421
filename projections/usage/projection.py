"""The usage of turns, as sums: turns, tokens, tool calls and time."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connections

from ...events.models import Event
from ...events.tables.columns import adapters
from ...events.tables.database import log_database
from ...events.types import EventData, MessageAppended, TurnFailed
from ..engine.earlier_events import Turns
from ..engine.people import users_of
from ..engine.projection import Projection
from ..engine.registry import register
from ..engine.storable import storable
from .model import NOBODY, SUMMED, Usage

_KEY = ("conversation_id", "actor_id", "model", "day")
_ADDED = (*SUMMED, "timed", "latency_us")
_LARGEST = "latency_max_us"
_COLUMNS = (*_KEY, "user_id", *_ADDED, _LARGEST)

_MODEL_LENGTH = 200
# A provider's wrong count must not make the sums outgrow their columns.
_MAX_TOKENS = 2**40


class Ended(NamedTuple):
    """What a turn adds when it ends: the model whose sums it adds to, and how much."""

    model: str
    counts: Counter[str]


@register
class UsageProjection(Projection):
    """Makes `Usage`, in the worker.

    A turn is counted by the event that ends it, on that event's day: a TurnFailed, or its second
    MessageAppended, which answers the first. Both are recognised without their payload, so erased
    turns stay counted; their tokens, model, outcomes and tool errors are removed.
    """

    name = "usage"
    handles = ("TurnStarted", "MessageAppended", "ToolOutputRecorded", "TurnFailed")
    takes_erased = True
    model = Usage
    erase = Projection.apply_again

    def apply(self, events: Sequence[Event]) -> None:
        turns = Turns(events, self.handles)
        rows: dict[tuple[Any, ...], Counter[str]] = {}
        for event in events:
            ended = counted(event, turns.before(event))
            if ended is not None:
                day = event.recorded_at.astimezone(dt.UTC).date()
                key = (event.stream_id, event.actor_id or NOBODY, ended.model, day)
                _add(rows.setdefault(key, Counter()), ended.counts)
        if rows:
            _upsert(rows)


def counted(event: Event, before: Sequence[Event]) -> Ended | None:
    """Return what an event adds, given the earlier events of its turn; None if it ends no turn.

    Copies that a fork made are not counted, because the original turns are. A turn that is finished
    after it was closed counts twice, as a failure and as a turn; its tokens and tools count once.
    """
    if event.turn_id is None or not _ends(event, before) or "origin" in event.meta:
        return None
    data = event.words
    counts = _spent(data, before)
    for earlier in before:
        if earlier.type == "TurnFailed":
            counts -= _spent(earlier.words, ())
    started = before[0] if before and before[0].type == "TurnStarted" else None
    if event.type == "TurnFailed":
        counts["failures"] = 1
        if isinstance(data, TurnFailed):
            counts[data.outcome] = 1
    else:
        counts["turns"] = 1
        if started is not None:
            took = (event.recorded_at - started.recorded_at) // dt.timedelta(microseconds=1)
            counts["timed"], counts["latency_us"], counts[_LARGEST] = 1, took, took
    return Ended(_model(data, started), counts)


def _ends(event: Event, before: Sequence[Event]) -> bool:
    if event.type == "TurnFailed":
        return True
    said = [earlier for earlier in before if earlier.type == "MessageAppended"]
    return event.type == "MessageAppended" and len(said) == 1


def _spent(end: EventData | None, before: Sequence[Event]) -> Counter[str]:
    """Return the tokens and tools up to the end of a turn; a failure contains its own."""
    if isinstance(end, TurnFailed):
        statuses = [tool.get("status") for tool in end.produced.get("tools") or ()]
    else:
        called = [event.words for event in before if event.type == "ToolOutputRecorded"]
        statuses = [getattr(tool, "status", None) for tool in called]
    usage = _dict(_body(end).get("usage_metadata"))
    return Counter(
        input_tokens=_tokens(usage.get("input_tokens")),
        output_tokens=_tokens(usage.get("output_tokens")),
        total_tokens=_tokens(usage.get("total_tokens")),
        tool_calls=len(statuses),
        tool_errors=statuses.count("error"),
    )


def _model(end: EventData | None, started: Event | None) -> str:
    """Return the model that the answer names, else the one that was asked, else an empty text."""
    answered = _dict(_body(end).get("response_metadata")).get("model_name")
    asked = getattr(started.words, "model", None) if started is not None else None
    for name in (answered, asked):
        if isinstance(name, str) and name:
            return storable(name)[:_MODEL_LENGTH]
    return ""


def _body(end: EventData | None) -> dict[str, Any]:
    """Return the stored fields of the message that ended a turn; none if there is no message."""
    document = end.produced.get("message") if isinstance(end, TurnFailed) else None
    if isinstance(end, MessageAppended):
        document = end.message
    return _dict(_dict(document).get("_value"))


def _dict(document: Any) -> dict[str, Any]:
    # Providers may put anything into a message.
    return document if isinstance(document, dict) else {}


def _tokens(count: Any) -> int:
    return min(count, _MAX_TOKENS) if type(count) is int and count > 0 else 0


def _add(sums: Counter[str], counts: Counter[str]) -> None:
    largest = max(sums[_LARGEST], counts[_LARGEST])
    sums.update(counts)
    sums[_LARGEST] = largest


def _upsert(rows: dict[tuple[Any, ...], Counter[str]]) -> None:
    """Add to the existing rows and insert the missing ones, in one statement."""
    connection = connections[log_database()]
    users = users_of(actor_id for _, actor_id, _, _ in rows if actor_id != NOBODY)
    values = [
        [*key, users.get(key[1]), *(counts[name] for name in (*_ADDED, _LARGEST))]
        for key, counts in rows.items()
    ]
    adapt_all = adapters(Usage, _COLUMNS, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT.format(rows=", ".join([_ROW] * len(values))),
            [adapt(value) for row in values for adapt, value in zip(adapt_all, row, strict=True)],
        )


_ROW = f"({', '.join(['%s'] * len(_COLUMNS))})"
_SETS = [
    "user_id = excluded.user_id",
    *(f"{name} = turnlog_usage.{name} + excluded.{name}" for name in _ADDED),
    f"{_LARGEST} = CASE WHEN excluded.{_LARGEST} > turnlog_usage.{_LARGEST}"
    f" THEN excluded.{_LARGEST} ELSE turnlog_usage.{_LARGEST} END",
]
_UPSERT = (
    f"INSERT INTO turnlog_usage ({', '.join(_COLUMNS)}) VALUES {{rows}}"
    f" ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {', '.join(_SETS)}"
)
