"""Takes up a turn that waited for a person, from the log alone: another process may have begun it.

The model is given exactly what it was given before, its own messages and what its tools gave; then
the calls that were approved are run, and for those that were not, it is told so.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core import codec
from ...core.asynchronous import in_database_thread, in_rendering_thread
from ...core.errors import TurnlogError
from ...core.wellformed import wellformed_value
from ...events.approvals import Resumed
from ...events.log import read
from ...events.models import Conversation
from ...events.rounds import calls_of, restored
from ...events.types import ToolApprovalRequested, TurnStarted
from ...events.waiting import Waiting, WaitingCall
from ...projections.transcript import TranscriptTurn, fold_turns, with_texts
from ...projections.travel.prompts import ModelInput, prompt_of_turn, tool_message_of
from .. import live
from ..mixins.agent import AgentMixin, Setup
from ..page.turn_view import TurnView, view_of
from .agent import Decided
from .running_turn import RunningTurn
from .steps import Answer

if TYPE_CHECKING:
    from langchain_core.messages import HumanMessage


@dataclass(frozen=True, slots=True)
class Continued:
    """What a turn goes on with: the messages that the model was given, with its own and its tools'
    up to the calls that waited; what was decided about these; and the tools that it knows, if they
    are not today's."""

    messages: Sequence[Any]
    decided: Decided
    offered: Sequence[Any] | None


class TakenUp(NamedTuple):
    """A turn that goes on, what the person had said, and what to go on with, or why it cannot.

    `initial` says whether it answers the chat's own first message.
    """

    turn: RunningTurn
    human: HumanMessage
    continued: Continued | None
    failure: Exception | None
    initial: bool


class _Stood(NamedTuple):
    """A turn as it waited: what the person had said, and how the page shows it."""

    human: HumanMessage
    view: TurnView
    initial: bool


@in_database_thread
def is_ready(conversation: Conversation, turn_id: uuid.UUID) -> bool:
    """Return whether a turn waits, and all its calls are decided."""
    waiting = conversation.waiting()
    return waiting is not None and waiting.started.turn_id == turn_id and not waiting.undecided


async def resume(
    chat: AgentMixin,
    conversation: Conversation,
    turn_id: uuid.UUID,
    setup: Setup | None,
) -> TakenUp | None:
    """Let this process go on with a turn. Returns None if another one does, or nothing waits.

    What it raises before the log says that the turn goes on leaves the turn waiting.
    """
    waiting = await conversation.awaiting()
    if waiting is None or turn_id_of(waiting) != turn_id:
        return None
    stood = await _as_shown(chat, conversation, waiting)
    model = {} if setup is None else _model_of(setup)
    resumed = await conversation.aresume_turn(turn_id, **model)
    if resumed is None:
        return None
    if resumed.waiting.request.pk != waiting.request.pk:  # It went on and waited again meanwhile.
        stood = await _as_shown(chat, conversation, resumed.waiting)
    return await _taken_up(conversation, resumed, stood, setup)


async def _as_shown(chat: AgentMixin, conversation: Conversation, waiting: Waiting) -> _Stood:
    human, folded = await in_database_thread(_as_it_stood)(conversation, waiting)
    view = await in_rendering_thread(view_of)(
        folded, show_initial_prompt=chat.get_show_initial_prompt()
    )
    return _Stood(human, view, bool(folded.metadata.get("initial", False)))


def _model_of(setup: Setup) -> dict[str, Any]:
    return {"model": setup.prompt.model, "parameters": setup.prompt.parameters}


async def _taken_up(
    conversation: Conversation, resumed: Resumed, stood: _Stood, setup: Setup | None
) -> TakenUp:
    event, waiting = resumed
    human, view, initial = stood
    turn = RunningTurn(
        live.place_of(conversation.pk),
        turn_id_of(waiting),
        actor_id=event.actor_id,
        version=event.version,
        human_text=view.human_text,
        show_human=view.show_human,
        at=waiting.started.recorded_at,
        files=view.files,
    )
    continued: Continued | None = None
    failure: Exception | None = None
    try:
        turn.answer = await in_database_thread(_answer_of)(waiting)
        continued = await in_database_thread(_continued)(conversation, waiting, turn.answer, setup)
    except TurnlogError as error:
        failure = error  # Something of it was erased, or cannot be read here.
    turn.go_on_from(view)
    return TakenUp(turn, human, continued, failure, initial)


def turn_id_of(waiting: Waiting) -> uuid.UUID:
    """Return the waiting turn's id."""
    turn_id = waiting.started.turn_id
    assert turn_id is not None  # Only a turn can wait.
    return turn_id


def _as_it_stood(conversation: Conversation, waiting: Waiting) -> tuple[Any, TranscriptTurn]:
    stored = [
        event
        for event in read(conversation.pk, after=waiting.started.version - 1)
        if event.turn_id == waiting.started.turn_id
    ]
    [turn] = with_texts(fold_turns(stored))
    data = waiting.started.data
    assert isinstance(data, TurnStarted)  # It is not erased: an erasure closes the turn first.
    return codec.decode(data.message), turn


def _answer_of(waiting: Waiting) -> Answer:
    """Return the answer as far as it had come, with a place for each call that waited."""
    produced, metadata = _produced(waiting), waiting.request.meta
    message = produced["message"]
    text = "" if message is None else str(codec.decode(message).text)
    waited = {call.number for call in waiting.calls}
    outputs = dict(zip(_numbers(len(produced["tools"]), waited), produced["tools"], strict=True))
    places = metadata.get("tools_at") or []
    known = len(places) == len(outputs)
    tools_at = dict(zip(outputs, places, strict=True)) if known else {}
    return Answer(
        text=text,
        rounds=[restored(payload) for payload in produced.get("rounds", ())],
        seconds=list(metadata.get("call_seconds") or ()),
        outputs={number: _as_given(payload) for number, payload in outputs.items()},
        tools_at=[tools_at.get(n, len(text)) for n in range(len(outputs) + len(waited))],
        rejected=set(metadata.get("rejected") or ()),
    )


def _numbers(count: int, waited: set[int]) -> list[int]:
    """Return the numbers of the calls that did not wait."""
    every = range(count + len(waited))
    return [number for number in every if number not in waited][:count]


def _produced(waiting: Waiting) -> Mapping[str, Any]:
    data = waiting.request.data
    assert isinstance(data, ToolApprovalRequested)  # As above.
    return data.produced


def _as_given(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return an output as the agent gives it: its documents stay as they are stored."""
    documents = ("input", "output", "text")
    decoded = {name: codec.decode(payload.get(name)) for name in documents}
    return {**payload, **decoded}


def _continued(
    conversation: Conversation, waiting: Waiting, answer: Answer, setup: Setup | None
) -> Continued:
    given = prompt_of_turn(conversation.pk, turn_id_of(waiting), 1)
    messages, told = _messages(answer, _produced(waiting)["tools"], waiting)
    refusals = {call.number: _refusal(call) for call in waiting.calls if not call.approved}
    answer.rejected |= refusals.keys()
    calls = [(call.number, _call(call)) for call in waiting.calls]
    return Continued(
        [*given.messages, *messages], Decided(calls, refusals, told), _offered(given, setup)
    )


def _messages(
    answer: Answer, payloads: Sequence[Mapping[str, Any]], waiting: Waiting
) -> tuple[list[Any], dict[int, Any]]:
    """Return the model's own messages, each with those of its tools' outputs; the last ones, of the
    round that has calls that waited, by number."""
    waited = {call.number for call in waiting.calls}
    by_number = dict(zip(_numbers(len(payloads), waited), payloads, strict=True))
    messages: list[Any] = []
    told: dict[int, Any] = {}
    first = 0
    for message in answer.messages:
        messages += [told[number] for number in sorted(told)]
        messages.append(message)
        count = len(calls_of(message))
        numbers = [n for n in range(first, first + count) if n in by_number]
        told = {number: tool_message_of(by_number[number]) for number in numbers}
        first += count
    return messages, told


def _call(call: WaitingCall) -> dict[str, Any]:
    return {
        "name": call.tool,
        "args": codec.decode(call.input),
        "id": call.tool_call_id,
        "type": "tool_call",
    }


def _refusal(call: WaitingCall) -> str:
    why = f" The reason given: {call.reason}" if call.reason else ""
    return f"A person did not approve this call, so it was not run.{why}"


def _offered(given: ModelInput, setup: Setup | None) -> list[Any] | None:
    """Return the tools' schemas that the model was given, if today's are others."""
    if setup is None or wellformed_value(list(setup.prompt.tools)) == list(given.tools):
        return None
    return list(given.tools)
