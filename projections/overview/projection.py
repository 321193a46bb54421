"""The overview projection: what a list shows of each conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...events.models import Event
from ...events.tables.conversation import rows as streams_of
from ...events.tables.database import log_database
from ...events.types import EVENT_TYPES, SIDE_TYPES, WAITING_TYPE, ToolOutputRecorded, TurnFailed
from ..engine.earlier_events import Turns
from ..engine.projection import Projection
from ..engine.registry import register
from ..engine.storable import storable
from ..usage.projection import UsageProjection, counted
from .model import Overview

_EVERYWHERE = ("PayloadErased", "HoldPlaced", "HoldLifted")
"""Types that side streams have, too."""

_NAMES, _LENGTH = 100, 200
"""The most names that a list keeps, and their length: a model may call a tool by any name."""

# As the codec writes a picture, and as providers write one in a message.
_HUMAN = '{"_type":"HumanMessage"'
_PICTURES = ('"_type":"PIL.Image"', '"type":"image_url"', '"type":"image"')


@register
class OverviewProjection(Projection):
    """Makes `Overview`, in the worker, of everything that has happened in a conversation."""

    name = "overview"
    handles = tuple(name for name in EVENT_TYPES if name not in SIDE_TYPES)
    takes_erased = True
    model = Overview
    erase = Projection.apply_again

    def apply(self, events: Sequence[Event]) -> None:
        turns = Turns(events, UsageProjection.handles)  # What `counted` goes by.
        streams = {event.stream_id for event in events} - _side_streams(events)
        rows = {row.pk: row for row in self.of_streams(sorted(streams))}
        for event in events:
            if event.stream_id not in streams:
                continue
            row = rows.get(event.stream_id)
            if row is None:
                row = rows[event.stream_id] = Overview(
                    conversation_id=event.stream_id, began_at=event.recorded_at
                )
            _add(row, event, turns.before(event))
        fields = [field.name for field in Overview._meta.concrete_fields if not field.primary_key]
        Overview._base_manager.using(log_database()).bulk_create(
            rows.values(),
            update_conflicts=True,
            unique_fields=["conversation"],
            update_fields=fields,
        )


def _side_streams(events: Sequence[Event]) -> set[int]:
    """Streams of these events that are no conversations: notes are erased there, too, and held."""
    unsure = {event.stream_id for event in events if event.type in _EVERYWHERE}
    return set(
        streams_of().filter(pk__in=unsure, beside__isnull=False).values_list("pk", flat=True)
    )


def _add(row: Overview, event: Event, before: Sequence[Event]) -> None:
    row.last_at, row.head = event.recorded_at, event.version
    row.type_names = _with(row.type_names, [event.type])
    row.clearings += event.type == "ConversationCleared"
    row.erasures += event.type == "PayloadErased"
    if event.type == WAITING_TYPE:
        row.waiting_turn = event.turn_id
    elif row.waiting_turn is not None and row.waiting_turn == event.turn_id:
        row.waiting_turn = None
    row.held = event.type == "HoldPlaced" or (row.held and event.type != "HoldLifted")
    payload = event.payload or ""
    if any(mark in payload for mark in _PICTURES):
        # A turn's end has the person's message again.
        again = event.type == "MessageAppended" and payload.startswith(_HUMAN)
        row.images += not (again and any(each.type == "TurnStarted" for each in before))
    row.tool_names = _with(row.tool_names, _tools_of(event))
    ended = counted(event, before)
    if ended is None:
        return
    counts = ended.counts
    row.turns += counts["turns"]
    row.failures += counts["failures"]
    row.failed += counts["failed"]
    stopped = event.type == "MessageAppended" and event.meta.get("outcome") == "cancelled"
    row.stopped += counts["cancelled"] + stopped
    row.interrupted += counts["interrupted"]
    row.tokens += counts["total_tokens"]
    row.tool_calls += counts["tool_calls"]
    row.model_names = _with(row.model_names, [ended.model])


def _tools_of(event: Event) -> list[Any]:
    match event.words:
        case ToolOutputRecorded(tool=name):
            return [name]
        case TurnFailed(produced={"tools": list(tools)}):
            return [tool.get("tool") for tool in tools if isinstance(tool, dict)]
    return []


def plain_name(name: str) -> str:
    """Return a name as the lists have it and as a query compares it."""
    return " ".join(storable(name).lower().split())


def _with(kept: str, names: Iterable[Any]) -> str:
    """Add names to a list, if they are not in it and it is not full."""
    for name in names:
        if not isinstance(name, str):
            continue
        line = f"\n{plain_name(name)[:_LENGTH]}\n"
        if line != "\n\n" and line not in kept and kept.count("\n") <= _NAMES:
            kept = (kept or "\n") + line[1:]
    return kept
