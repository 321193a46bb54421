"""A turn's life: started, then recorded or failed; and clearing.

Each function decides over the stream's head and appends one batch. All of them may be called
again with the same turn: what is already there is not appended twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..core import codec
from ..core.errors import TurnConflict, TurnErased, TurnInProgress, UnknownTurn
from . import runners
from .log import Head, NewEvent, append, append_decided
from .prompt import Prompt
from .tables.actor import Actor
from .tables.database import log_database
from .tables.event import Event
from .tool_outputs import tool_outputs
from .types import (
    ConversationCleared,
    EventData,
    MessageAppended,
    Outcome,
    TurnFailed,
    TurnStarted,
)

COMPLETION_TYPES = (MessageAppended.__name__, "ToolOutputRecorded")


class Turn(NamedTuple):
    """A started turn; `created` is False when it had been started before."""

    turn_id: uuid.UUID
    event: Event
    created: bool


def start(
    stream_id: int,
    human_message: Any,
    *,
    user: Any = None,
    turn_id: uuid.UUID | None = None,
    prompt: Prompt | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Turn:
    """Commit the human's words (a HumanMessage, or text) before the model is called.

    An open turn whose runner is gone is closed as interrupted on the way. Raises TurnInProgress
    while another turn is open, TurnConflict if `turn_id` was started with other words, StalePrompt
    if the conversation went on since the prompt's messages were read.
    """
    turn_id = turn_id or uuid.uuid4()
    message = codec.encode(_human(human_message))
    actor_id = Actor.objects.id_of(user)
    meta = {"runner": str(runners.beat()), **(metadata or {})}

    def decide(head: Head) -> Sequence[NewEvent]:
        if head.turn_state is not None:
            return ()
        closing = _close_before(stream_id)
        if prompt is not None:
            # What is closed here was no message: it comes with this batch, after the head.
            prompt.require_fresh(stream_id, head.version)
        # Its texts now, with the event that refers to them: of a turn that is refused there are
        # none, and those of one that starts are kept from an erasure that sees them used by nobody.
        data = TurnStarted(message, **(prompt.keep() if prompt else {}))
        return [*closing, NewEvent(data, turn_id, actor_id, meta)]

    if events := append_decided(stream_id, decide, turn_id=turn_id):
        return Turn(turn_id, events[-1], created=True)
    first = _of_turn(stream_id, turn_id)[0]
    if first.type == "TurnStarted" and not _same_message(first, message):
        raise TurnConflict(stream_id, turn_id)
    return Turn(turn_id, first, created=False)


def record(
    stream_id: int,
    human_message: Any,
    ai_message: Any,
    tools_output_list: Sequence[Any] | None = None,
    *,
    user: Any = None,
    turn_id: uuid.UUID | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Event]:
    """Append a finished turn in one batch: the human's message, tool outputs, the answer.

    Returns the stored events; called again with the same turn and content, those of the first
    time. Raises TurnConflict for the same turn with other content, CodecError for what cannot
    be stored exactly, TurnErased for a turn whose words were erased while it was being answered.
    A turn that was closed meanwhile is recorded all the same: nothing is lost.
    """
    asked, turn_id = turn_id, turn_id or uuid.uuid4()  # One of our own making is not there yet.
    batch: list[EventData] = [
        MessageAppended(codec.encode(_human(human_message))),
        *tool_outputs(tools_output_list),
        MessageAppended(codec.encode(ai_message)),
    ]
    actor_id = Actor.objects.id_of(user)

    def decide(head: Head) -> Sequence[NewEvent]:
        if head.turn_state in COMPLETION_TYPES:
            return ()
        if head.turn_state == "TurnFailed" and _is_erased(stream_id, turn_id):
            # What is open is not erased: it was closed before, for its runner seemed to be gone.
            raise TurnErased(stream_id, turn_id)
        actor = actor_id
        if actor is None and head.turn_state is not None:
            actor = _of_turn(stream_id, turn_id)[0].actor_id
        return [NewEvent(data, turn_id, actor, metadata or {}) for data in batch]

    if events := append_decided(stream_id, decide, turn_id=asked):
        return events
    stored = [e for e in _of_turn(stream_id, turn_id) if e.type in COMPLETION_TYPES]
    offered = [codec.to_json(data.payload()) for data in batch]
    kept = [event.payload for event in stored]
    erased = None in kept  # Then nobody can say any more whether it was the same.
    if not erased and kept != offered:
        raise TurnConflict(stream_id, turn_id)
    return stored


def fail(
    stream_id: int,
    turn_id: uuid.UUID,
    outcome: Outcome = "failed",
    *,
    error: Mapping[str, str] | None = None,
    ai_message: Any = None,
    tools_output_list: Sequence[Any] | None = None,
) -> list[Event]:
    """Close a started turn with what it had produced until then.

    `error` holds `type` and `text`. Nothing is appended if the turn has ended already. Raises
    UnknownTurn if it was never started.
    """
    produced = {
        "message": None if ai_message is None else codec.encode(ai_message),
        "tools": [data.payload() for data in tool_outputs(tools_output_list)],
    }
    data = TurnFailed(outcome, produced, error)

    def decide(head: Head) -> Sequence[NewEvent]:
        if head.turn_state is None:
            raise UnknownTurn(stream_id, turn_id)
        if head.turn_state != "TurnStarted":
            return ()
        started = _of_turn(stream_id, turn_id)[0]
        return [NewEvent(data, turn_id, started.actor_id)]

    return append_decided(stream_id, decide, turn_id=turn_id)


def clear(stream_id: int, *, by: Any = None, reason: str = "") -> Event:
    """Hide everything up to here, a running turn too, from the message list; delete nothing."""
    event = NewEvent(ConversationCleared(reason), actor_id=Actor.objects.id_of(by))
    return append(stream_id, [event])[-1]


def close_abandoned(stream_id: int) -> list[Event]:
    """Close the stream's open turn as interrupted if its runner is gone; what was appended."""
    # Without a write lock first: on most visits there is nothing to close.
    opened = open_turn(stream_id)
    if opened is None or not is_abandoned(opened.meta.get("runner")):
        return []

    def decide(head: Head) -> Sequence[NewEvent]:
        return [_interrupted(opened)] if head.turn_state == "TurnStarted" else ()

    return append_decided(stream_id, decide, turn_id=opened.turn_id)


def open_turn(stream_id: int) -> Event | None:
    """The `TurnStarted` of the turn that is being answered, if there is one."""
    events = Event.objects.using(log_database())
    # Only the last one can be open: a turn is refused while another is.
    last = events.filter(stream_id=stream_id, type="TurnStarted").order_by("-version").first()
    if last is None:
        return None
    ended = events.filter(
        stream_id=stream_id, turn_id=last.turn_id, version__gt=last.version
    ).exists()
    return None if ended else last


def _close_before(stream_id: int) -> list[NewEvent]:
    """What must be appended before a turn may start. Raises TurnInProgress."""
    opened = open_turn(stream_id)
    if opened is None:
        return []
    if not is_abandoned(opened.meta.get("runner")):
        raise TurnInProgress(stream_id, opened.turn_id)
    return [_interrupted(opened)]


def is_abandoned(runner: str | None) -> bool:
    """Whether nobody will finish a turn whose metadata name this runner."""
    return runner is None or runners.is_gone(uuid.UUID(runner))


def _interrupted(started: Event) -> NewEvent:
    data = TurnFailed("interrupted", {"message": None, "tools": []})
    return NewEvent(data, started.turn_id, started.actor_id)


def _of_turn(stream_id: int, turn_id: uuid.UUID) -> list[Event]:
    events = Event.objects.using(log_database())
    return list(events.filter(stream_id=stream_id, turn_id=turn_id).order_by("version"))


def _is_erased(stream_id: int, turn_id: uuid.UUID) -> bool:
    return any(event.payload is None for event in _of_turn(stream_id, turn_id))


def _same_message(started: Event, message: Any) -> bool:
    data = started.data
    return data is None or (isinstance(data, TurnStarted) and data.message == message)


def _human(message: Any) -> Any:
    if not isinstance(message, str):
        return message
    from langchain_core.messages import HumanMessage

    return HumanMessage(message)
