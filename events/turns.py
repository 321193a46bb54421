"""The operations on a turn: start, record, fail; and clear, which hides turns.

Each function checks its arguments, decides by the stream's standing, and appends one batch. You may
call it again with the same turn: what the log already holds is not appended twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import codec
from ..core.codec.blobs import whole
from ..core.errors import TurnConflict, TurnErased, TurnInProgress, UnknownTurn
from ..core.wellformed import wellformed, wellformed_value
from . import arguments, drafts, runners
from .durable import durably, is_within_callers_transaction
from .log import NewEvent, append_decided
from .places import Place, place_of
from .prompt import Prompt
from .rounds import Round, in_order, recorded
from .standing import OpenTurn, Standing
from .tables.database import log_database
from .tables.event import Event
from .tool_outputs import tool_outputs
from .types import (
    OPEN_TYPES,
    RUNNING_TYPES,
    WAITING_TYPE,
    ConversationCleared,
    EventData,
    MessageAppended,
    ModelCallFailed,
    ModelCallRecorded,
    Outcome,
    ToolOutputRecorded,
    TurnFailed,
    TurnStarted,
)
from .waiting import open_turn, produced_by

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, HumanMessage

COMPLETION_TYPES = (
    MessageAppended.__name__,
    ModelCallFailed.__name__,
    ModelCallRecorded.__name__,
    ToolOutputRecorded.__name__,
)

MakePrompt = Callable[[], Prompt]


class Turn(NamedTuple):
    """A started turn; `created` is False when it had been started before."""

    turn_id: uuid.UUID
    event: Event
    created: bool


def start(
    stream_id: int,
    human_message: str | HumanMessage,
    *,
    user: Any = None,
    turn_id: uuid.UUID | None = None,
    prompt: Prompt | MakePrompt | None = None,
    metadata: Mapping[str, Any] | None = None,
    instead_of: uuid.UUID | None = None,
) -> Turn:
    """Commit the human's words before the model is called.

    If the stream's last turn is open and its runner is gone, that turn is closed as interrupted in
    the same batch; if it waits for a person to approve a tool's call, as cancelled. `prompt` may be
    a function that reads the previous messages and builds the prompt from them. It is called just
    before the append, and again if the conversation continued meanwhile.

    With `instead_of`, the turn replaces one of the user's current branch: that one and what came
    after it stay in the log and can be chosen again, see `choosing.choose`.

    It is committed when this returns, also within a transaction of the caller's.

    Raises ArgumentError; TransactionInTheWay if that transaction has written what this needs;
    TurnInProgress while another turn is open; TurnConflict if `turn_id` was
    started with other words; StalePrompt if the conversation continued after the prompt's
    messages were read; UnknownTurn and BranchRefused if `instead_of` cannot be replaced.
    """
    arguments.require_turn_id(turn_id)
    arguments.require_turn_id(instead_of, name="instead_of")
    arguments.require_user(user)
    arguments.require_metadata(metadata)
    asked, turn_id = turn_id, turn_id or uuid.uuid4()
    message = codec.encode(arguments.human_message(human_message))
    meta = wellformed_value(dict(metadata or {}))

    def gather(standing: Standing) -> _Gathered:
        if standing.turn is not None:
            return _Gathered(Prompt())
        produced = _produced(stream_id, standing)
        place = _place_of(stream_id, instead_of, user, standing)
        given = prompt() if callable(prompt) else prompt or Prompt()
        return _Gathered(given, produced, place)

    def decide(runner: uuid.UUID, standing: Standing, gathered: _Gathered) -> Sequence[NewEvent]:
        if standing.turn is not None:
            return ()
        prompt = gathered.prompt
        before = _close_before(stream_id, standing, gathered.produced)
        # Compare with the head: the event that closes the other turn is part of this batch.
        prompt.require_fresh(stream_id, standing.version)
        branched = standing.branched
        if gathered.place is not None:
            branched = standing.version + len(before) + 1
            before.append(NewEvent(gathered.place.replaced(turn_id, branched + 1), user=user))
        data, texts = prompt.after_branch(branched).started(message)
        return [*before, NewEvent(data, turn_id, None, meta, texts, runner, user)]

    def write() -> Turn:
        runner = runners.beating()
        meta["runner"] = str(runner)
        if events := append_decided(stream_id, partial(decide, runner), gather, turn_id=asked):
            if closed := [event.turn_id for event in events[:-1] if event.turn_id]:
                drafts.drop(closed)
            return Turn(turn_id, events[-1], created=True)
        first = _of_turn(stream_id, turn_id)[0]
        if first.type == "TurnStarted" and not _same_message(first, message):
            raise TurnConflict(stream_id, turn_id)
        return Turn(turn_id, first, created=False)

    return durably(stream_id, "start_turn", write)


def record(
    stream_id: int,
    human_message: str | HumanMessage,
    ai_message: str | AIMessage,
    tools_output_list: Sequence[Any] | None = None,
    *,
    user: Any = None,
    turn_id: uuid.UUID | None = None,
    metadata: Mapping[str, Any] | None = None,
    rounds: Sequence[Round] | None = None,
    instead_of: uuid.UUID | None = None,
) -> list[Event]:
    """Append a finished turn in one batch: the human's message, tool outputs, the answer.

    `rounds` are the messages that the model's calls gave, in order, if it was called more than once
    or the answer is not its message; a FailedCall stands for a call that failed. `instead_of` is a
    turn that this one replaces, as in `start`, if the turn was not started before.

    Returns the stored events. A second call with the same turn and content returns those of the
    first. A turn that was closed meanwhile is still recorded: nothing is lost.

    Raises ArgumentError; TurnConflict if the turn was recorded with other content; CodecError if a
    value cannot be stored exactly; TurnErased if the turn's words were erased while it was being
    answered; UnknownTurn, BranchRefused and TurnInProgress if `instead_of` cannot be replaced.
    """
    arguments.require_turn_id(turn_id)
    arguments.require_turn_id(instead_of, name="instead_of")
    arguments.require_user(user)
    arguments.require_metadata(metadata)
    asked, turn_id = turn_id, turn_id or uuid.uuid4()
    answer = codec.encode(arguments.ai_message(ai_message))
    batch: list[EventData] = [
        MessageAppended(codec.encode(arguments.human_message(human_message))),
        *_calls(arguments.model_rounds(rounds), tool_outputs(tools_output_list), answer),
        MessageAppended(answer),
    ]
    meta = wellformed_value(dict(metadata or {}))

    if instead_of is not None:
        close_abandoned(stream_id)

    def gather(standing: Standing) -> Place | None:
        return _place_of(stream_id, instead_of, user, standing)

    def decide(standing: Standing, place: Place | None) -> Sequence[NewEvent]:
        turn = standing.turn
        if turn is None:
            events = [NewEvent(data, turn_id, None, meta, user=user) for data in batch]
            if place is not None:
                if standing.opened is not None:
                    raise TurnInProgress(stream_id, standing.opened.turn_id)
                chosen = place.replaced(turn_id, standing.version + 2)
                events.insert(0, NewEvent(chosen, user=user))
            return events
        if turn.state in COMPLETION_TYPES:
            return ()
        if turn.state == "TurnFailed" and turn.erased:
            # Open turns are not erased: this one was closed first, as its runner seemed gone.
            raise TurnErased(stream_id, turn_id)
        # Under the pseudonym that it was started under. If the person was forgotten meanwhile,
        # their new one beside it would say who the old one was.
        return [NewEvent(data, turn_id, turn.actor_id, meta, user=user) for data in batch]

    def write() -> list[Event]:
        return append_decided(stream_id, decide, gather, turn_id=asked)

    if events := _as_it_began(stream_id, asked, "record_turn", write):
        return [event for event in events if event.turn_id == turn_id]  # Not the stream's opening.
    stored = [e for e in _of_turn(stream_id, turn_id) if e.type in COMPLETION_TYPES]
    offered = [codec.to_json(data.payload()) for data in batch]
    kept = [None if event.payload is None else whole(event.payload) for event in stored]
    erased = None in kept  # Then nothing is left to compare with.
    if not erased and kept != offered:
        raise TurnConflict(stream_id, turn_id)
    return stored


def fail(
    stream_id: int,
    turn_id: uuid.UUID,
    outcome: Outcome = "failed",
    *,
    error: Mapping[str, str] | None = None,
    ai_message: str | AIMessage | None = None,
    tools_output_list: Sequence[Any] | None = None,
    rounds: Sequence[Round] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Event]:
    """Close a started turn and record what it had produced by then.

    `error` holds `type` and `text`. Nothing is appended if the turn has ended already. Raises
    ArgumentError, CodecError, and UnknownTurn if the turn was never started.
    """
    arguments.require_turn_id(turn_id, optional=False)
    arguments.require_outcome(outcome)
    arguments.require_error(error)
    arguments.require_metadata(metadata)
    meta = wellformed_value(dict(metadata or {}))
    produced = produced_in(ai_message, tools_output_list, rounds)
    data = TurnFailed(outcome, produced, None if error is None else wellformed_value(dict(error)))

    return append_to_turn(stream_id, turn_id, data, OPEN_TYPES, meta, what="fail_turn")


def append_to_turn(
    stream_id: int,
    turn_id: uuid.UUID,
    data: EventData,
    states: Sequence[str],
    metadata: Mapping[str, Any],
    *,
    what: str,
) -> list[Event]:
    """Append what becomes of a started turn, if it is in one of these states; `what` names the
    operation. Raises UnknownTurn.
    """

    def decide(standing: Standing, _: None) -> Sequence[NewEvent]:
        if standing.turn is None:
            raise UnknownTurn(stream_id, turn_id)
        if standing.turn.state not in states:
            return ()
        return [NewEvent(data, turn_id, standing.turn.actor_id, metadata)]

    def write() -> list[Event]:
        return append_decided(stream_id, decide, _no_more, turn_id=turn_id)

    return _as_it_began(stream_id, turn_id, what, write)


def produced_in(
    ai_message: str | AIMessage | None,
    tools_output_list: Sequence[Any] | None,
    rounds: Sequence[Round] | None,
) -> dict[str, Any]:
    """Return the `produced` of a TurnFailed. Raises ArgumentError, CodecError."""
    produced: dict[str, Any] = {
        "message": None if ai_message is None else codec.encode(arguments.ai_message(ai_message)),
        "tools": [data.payload() for data in tool_outputs(tools_output_list)],
    }
    if called := [recorded(one).payload() for one in arguments.model_rounds(rounds)]:
        produced["rounds"] = called
    return produced


def _as_it_began(
    stream_id: int, turn_id: uuid.UUID | None, what: str, write: Callable[[], list[Event]]
) -> list[Event]:
    """End a turn in the caller's transaction, unless its start has been committed already.

    Then its end is, too: if the caller's were rolled back, the turn would stay open.
    """
    if turn_id is None or not is_within_callers_transaction():
        return write()

    def write_if_it_is_open() -> list[Event] | None:
        opened = open_turn(stream_id)
        return write() if opened is not None and opened.turn_id == turn_id else None

    written = durably(stream_id, what, write_if_it_is_open)
    return write() if written is None else written


def clear(stream_id: int, *, by: Any = None, reason: str = "") -> Event:
    """Hide everything up to here, a running turn too, from the message list; delete nothing.

    A turn that waits for a person is closed as cancelled in the same batch. Raises ArgumentError.
    """
    arguments.require_user(by, "by")
    arguments.require_text(reason, "reason")
    cleared = NewEvent(ConversationCleared(wellformed(reason)), user=by)

    def gather(standing: Standing) -> dict[str, Any] | None:
        waits = standing.opened is not None and standing.opened.waits
        return _produced(stream_id, standing) if waits else None

    def decide(standing: Standing, produced: dict[str, Any] | None) -> Sequence[NewEvent]:
        opened = standing.opened
        if opened is None or not opened.waits:
            return [cleared]
        return [_closed(opened, produced), cleared]

    return append_decided(stream_id, decide, gather)[-1]


def close_abandoned(stream_id: int) -> list[Event]:
    """Close the stream's open turn as interrupted if its runner is gone.

    A turn that waits for a person has no runner, and stays. Returns the appended events.
    """
    # Look without a write lock first: on most visits there is nothing to close.
    opened = open_turn(stream_id)
    if opened is None or opened.waits or not runners.is_abandoned(opened.runner):
        return []
    return _close(stream_id, opened.turn_id, RUNNING_TYPES)


def cancel_waiting(stream_id: int, turn_id: uuid.UUID) -> list[Event]:
    """Close a turn that waits for a person as cancelled; its calls are not made.

    Returns the appended events: none if the turn does not wait. Raises ArgumentError.
    """
    arguments.require_turn_id(turn_id, optional=False)
    return _close(stream_id, turn_id, (WAITING_TYPE,))


def _close(stream_id: int, turn_id: uuid.UUID | None, states: Sequence[str]) -> list[Event]:
    """Close the open turn if it is this one, and in one of these states."""

    def gather(standing: Standing) -> dict[str, Any] | None:
        return _produced(stream_id, standing, turn_id)

    def decide(standing: Standing, produced: dict[str, Any] | None) -> Sequence[NewEvent]:
        opened = standing.opened
        if opened is None or opened.turn_id != turn_id:
            return ()
        if standing.turn is None or standing.turn.state not in states:
            return ()
        return [_closed(opened, produced)]

    events = append_decided(stream_id, decide, gather, turn_id=turn_id)
    drafts.drop([turn_id])
    return events


def _calls(
    rounds: Sequence[Round], outputs: Sequence[ToolOutputRecorded], answer: Any
) -> list[EventData]:
    """Return the events of a turn's model calls and of the tools they called, in order."""
    events = [recorded(one) for one in rounds]
    if events == [ModelCallRecorded(answer)]:
        return [*outputs]  # The answer is this call's message.
    made = iter(events)
    return [
        item if isinstance(item, ToolOutputRecorded) else next(made)
        for item in in_order(rounds, outputs)
    ]


def _no_more(standing: Standing) -> None:
    """Gather nothing: the decision needs only the standing."""


class _Gathered(NamedTuple):
    prompt: Prompt
    produced: dict[str, Any] | None = None
    """What the turn had produced that is closed before; None if none is."""
    place: Place | None = None
    """The place of the turn that is replaced; None if none is."""


def _place_of(
    stream_id: int, turn_id: uuid.UUID | None, user: Any, standing: Standing
) -> Place | None:
    """Return the place of a turn that a new one replaces. Raises as `place_of`."""
    if turn_id is None or standing.turn is not None:
        return None
    return place_of(stream_id, turn_id, user)


def _close_before(
    stream_id: int, standing: Standing, produced: dict[str, Any] | None
) -> list[NewEvent]:
    """Return what must be appended before a turn may start. Raises TurnInProgress."""
    opened = standing.opened
    if opened is None:
        return []
    if not (opened.gone or opened.waits):
        raise TurnInProgress(stream_id, opened.turn_id)
    return [_closed(opened, produced)]


def _produced(
    stream_id: int, standing: Standing, asked: uuid.UUID | None = None
) -> dict[str, Any] | None:
    """Return what the open turn had produced, if it can be closed: it waits, its runner is gone, or
    it is the one that is asked about."""
    opened = standing.opened
    if opened is None or not (opened.gone or opened.waits or opened.turn_id == asked):
        return None
    events = open_turn(stream_id)
    return None if events is None else produced_by(events)


def _closed(opened: OpenTurn, produced: dict[str, Any] | None) -> NewEvent:
    nothing: dict[str, Any] = {"message": None, "tools": []}
    outcome: Outcome = "cancelled" if opened.waits else "interrupted"
    return NewEvent(TurnFailed(outcome, produced or nothing), opened.turn_id, opened.actor_id)


def _of_turn(stream_id: int, turn_id: uuid.UUID) -> list[Event]:
    events = Event.objects.using(log_database())
    return list(events.filter(stream_id=stream_id, turn_id=turn_id).order_by("version"))


def _same_message(started: Event, message: Any) -> bool:
    data = started.data
    return data is None or (isinstance(data, TurnStarted) and data.message == message)
