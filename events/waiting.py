"""Reads the turn that has not ended, and what it waits for, if it waits for a person."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import drafts
from .tables.database import log_database
from .tables.event import Event
from .tables.literal import Literal
from .types import OPEN_TYPES, WAITING_TYPE, ToolApprovalDecided, ToolApprovalRequested


@dataclass(frozen=True, slots=True)
class OpenTurnEvents:
    """The first and the last event of a turn that has not ended."""

    started: Event
    last: Event

    @property
    def turn_id(self) -> uuid.UUID | None:
        return self.started.turn_id

    @property
    def actor_id(self) -> uuid.UUID | None:
        return self.started.actor_id

    @property
    def waits(self) -> bool:
        """Whether the turn waits for a person: then no process answers it."""
        return self.last.type == WAITING_TYPE

    @property
    def runner(self) -> str | None:
        """The process that answers the turn."""
        return None if self.waits else self.last.meta.get("runner")


class WaitingCall(NamedTuple):
    """A tool's call that waits for a person, and what was decided; `approved` is None until then.

    `number` counts the turn's calls from 0, and `input` is a document. `by` is the pseudonym of the
    person who decided.
    """

    number: int
    tool: str
    tool_call_id: str | None
    input: Any
    approved: bool | None = None
    reason: str = ""
    by: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A turn that waits for a person: its last event, and the calls that it names."""

    started: Event
    request: Event
    calls: Sequence[WaitingCall]

    @property
    def undecided(self) -> list[WaitingCall]:
        """The calls that a person has yet to decide."""
        return [call for call in self.calls if call.approved is None]


def open_turn(stream_id: int) -> OpenTurnEvents | None:
    """Return the turn that has not ended, if there is one."""
    events = Event.objects.using(log_database()).filter(stream_id=stream_id)
    # Only the last one can be open: a turn is refused while another is.
    started = events.filter(type=Literal("TurnStarted")).order_by("-version").first()
    if started is None:
        return None
    later = events.filter(turn_id=started.turn_id, version__gt=started.version)
    if later.exclude(type__in=OPEN_TYPES).exists():
        return None
    return OpenTurnEvents(started, later.order_by("-version").first() or started)


def waiting_in(stream_id: int) -> Waiting | None:
    """Return the turn that waits for a person, if there is one that is not erased."""
    opened = open_turn(stream_id)
    if opened is None or not opened.waits or opened.last.payload is None:
        return None
    return Waiting(opened.started, opened.last, calls_of(opened.last))


def calls_of(request: Event) -> list[WaitingCall]:
    """Return the calls that a ToolApprovalRequested names, with what was decided since."""
    data = request.data
    if not isinstance(data, ToolApprovalRequested):
        return []
    decided = {event.data.call: event for event in decisions_on(request)}
    return [with_decision(_call(call), decided.get(call["number"])) for call in data.calls]


def decisions_on(request: Event) -> list[Any]:
    """Return the decisions on a request's calls, those that are not erased, in order."""
    later = Event.objects.using(log_database()).filter(
        stream_id=request.stream_id, version__gt=request.version, type="ToolApprovalDecided"
    )
    found: list[Any] = []
    for event in later.filter(payload__isnull=False).order_by("version"):
        data = event.data
        asked = isinstance(data, ToolApprovalDecided) and data.request
        if asked == bytes(request.hash).hex():
            found.append(event)
    return found


def produced_by(opened: OpenTurnEvents) -> dict[str, Any]:
    """Return the `produced` of a TurnFailed that ends a turn, as far as drafts and log tell.

    Raises UnreadableEvent.
    """
    if not opened.waits:
        produced = drafts.produced_by(opened.turn_id)
        if produced is not None:
            return produced
    # A turn that waits, or that went on and was lost before it had kept a draft.
    events = Event.objects.using(log_database()).filter(
        stream_id=opened.started.stream_id, turn_id=opened.turn_id, type=WAITING_TYPE
    )
    asked = events.order_by("-version").first()
    data = None if asked is None else asked.data
    if isinstance(data, ToolApprovalRequested):
        return dict(data.produced)
    return {"message": None, "tools": []}


def with_decision(call: WaitingCall, decided: Event | None) -> WaitingCall:
    """Return a call with what was decided about it."""
    if decided is None or not isinstance(data := decided.data, ToolApprovalDecided):
        return call
    return call._replace(approved=data.approved, reason=data.reason, by=decided.actor_id)


def _call(call: Any) -> WaitingCall:
    return WaitingCall(call["number"], call["tool"], call["tool_call_id"], call["input"])
