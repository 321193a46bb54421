"""The operations on tool calls that wait for a person: ask, decide, go on.

A turn that waits has no process. Its last event names the calls; each decision names that event by
its hash, so that it holds for these calls with these arguments and for nothing else. A process that
has seen all of them decided goes on with the turn, and only one does.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import codec
from ..core.errors import ArgumentError, NotWaiting
from ..core.wellformed import wellformed, wellformed_value
from . import arguments, drafts, runners
from .durable import durably
from .log import NewEvent, append_decided
from .rounds import Round
from .standing import Standing
from .tables.event import Event
from .turns import append_to_turn, produced_in
from .types import (
    RUNNING_TYPES,
    WAITING_TYPE,
    ToolApprovalDecided,
    ToolApprovalRequested,
    TurnResumed,
)
from .waiting import Waiting, waiting_in

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

LONGEST_REASON = 2_000
"""Characters of a reason, at most: the model is given it."""


class Resumed(NamedTuple):
    """A turn that goes on: the event that says so, and what was decided."""

    event: Event
    waiting: Waiting


def request(
    stream_id: int,
    turn_id: uuid.UUID,
    calls: Sequence[Mapping[str, Any]],
    *,
    ai_message: str | AIMessage | None = None,
    tools_output_list: Sequence[Any] | None = None,
    rounds: Sequence[Round] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Event]:
    """Let a turn wait until a person has decided about some of its tool calls.

    Each of `calls` has its `number` among the turn's calls (from 0), `tool`, `tool_call_id` and
    `input`. The rest is what the turn has produced so far. Nothing is appended if the turn is not
    being answered any more. Raises ArgumentError, CodecError, UnknownTurn.
    """
    arguments.require_turn_id(turn_id, optional=False)
    arguments.require_metadata(metadata)
    if not calls:
        raise ArgumentError("calls", "at least one call", calls)
    data = ToolApprovalRequested(
        [_asked(call) for call in calls], produced_in(ai_message, tools_output_list, rounds)
    )
    meta = wellformed_value(dict(metadata or {}))

    return append_to_turn(stream_id, turn_id, data, RUNNING_TYPES, meta, what="request_approval")


def decide(
    stream_id: int,
    turn_id: uuid.UUID,
    call: int,
    approved: bool,
    *,
    by: Any = None,
    reason: str = "",
) -> Event:
    """Record a person's decision about one call of a turn that waits. Returns the event.

    `call` is the call's number; what it calls, and with what, the log knows. Whether `by` may
    decide is the caller's to check. It is committed when this returns.

    Raises ArgumentError; NotWaiting if this turn does not wait for this call (any more): of two
    decisions at once, one is recorded.
    """
    arguments.require_turn_id(turn_id, optional=False)
    arguments.require_user(by, "by")
    arguments.require_text(reason, "reason")
    if len(reason) > LONGEST_REASON:
        raise ArgumentError("reason", f"at most {LONGEST_REASON} characters", len(reason))

    def decide(standing: Standing, waiting: Waiting | None) -> Sequence[NewEvent]:
        refuse = partial(NotWaiting, stream_id, turn_id, call)
        turn = standing.turn
        if turn is None:
            raise refuse("unknown")
        if turn.erased:
            raise refuse("erased")
        if turn.state != WAITING_TYPE or waiting is None or waiting.started.turn_id != turn_id:
            raise refuse("running" if turn.state in RUNNING_TYPES else "ended")
        known = {asked.number: asked for asked in waiting.calls}
        if call not in known:
            raise refuse("no_call")
        if known[call].approved is not None:
            raise refuse("decided")
        asked_in = bytes(waiting.request.hash).hex()
        data = ToolApprovalDecided(str(turn_id), asked_in, call, approved, wellformed(reason))
        return [NewEvent(data, user=by)]

    def write() -> Event:
        return append_decided(stream_id, decide, _waiting_by(stream_id), turn_id=turn_id)[-1]

    return durably(stream_id, "decide_call", write)


def resume(
    stream_id: int,
    turn_id: uuid.UUID,
    *,
    model: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Resumed | None:
    """Let this process go on with a turn of which all calls are decided.

    `model` and `parameters` say what it will call. Returns None if there is nothing to go on with:
    a call is undecided, another process goes on, or the turn has ended. It is committed when this
    returns.
    """
    arguments.require_turn_id(turn_id, optional=False)
    found: list[Waiting] = []

    def decide(
        runner: uuid.UUID, standing: Standing, waiting: Waiting | None
    ) -> Sequence[NewEvent]:
        found.clear()
        turn = standing.turn
        if turn is None or turn.erased or turn.state != WAITING_TYPE or waiting is None:
            return ()
        if waiting.started.turn_id != turn_id or waiting.undecided:
            return ()
        found.append(waiting)
        data = TurnResumed(
            bytes(waiting.request.hash).hex(),
            None if model is None else wellformed(model),
            wellformed_value(dict(parameters or {})),
        )
        meta = {"runner": str(runner)}
        return [NewEvent(data, turn_id, turn.actor_id, meta, runner=runner)]

    def write() -> Resumed | None:
        if (waiting := waiting_in(stream_id)) is None or waiting.undecided:
            return None
        drafts.drop([turn_id])  # The request has all of it.
        given = partial(decide, runners.beating())
        events = append_decided(stream_id, given, _waiting_by(stream_id), turn_id=turn_id)
        return Resumed(events[-1], found[-1]) if events else None

    return durably(stream_id, "resume_turn", write)


def _waiting_by(stream_id: int) -> Any:
    """Return what reads the waiting turn for a decision, if there is one."""

    def gather(standing: Standing) -> Waiting | None:
        waits = standing.opened is not None and standing.opened.waits
        return waiting_in(stream_id) if waits else None

    return gather


def _asked(call: Mapping[str, Any]) -> dict[str, Any]:
    number, tool, call_id = (call.get(name) for name in ("number", "tool", "tool_call_id"))
    if type(number) is not int or number < 0 or not isinstance(tool, str):
        raise ArgumentError("calls", "mappings with a number and a tool's name", call)
    return {
        "number": number,
        "tool": wellformed(tool),
        "tool_call_id": None if call_id is None else wellformed(str(call_id)),
        "input": codec.encode(call.get("input")),
    }
