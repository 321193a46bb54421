"""What a turn's calls of the model show: what was thought, which tools were called, how each ended.

A running turn hears of all this as it happens. From the log, the places within the answer's text
follow from the messages that the calls gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from ...core import codec
from ...core.errors import CodecError
from ...core.wellformed import wellformed
from ...events.rounds import FailedCall, Round, calls_of, is_failure
from ...events.waiting import WaitingCall
from ...projections.transcript import TranscriptTurn
from ..endings import Ending, ending_of, reason_of
from ..thoughts import Parts

Piece = dict[str, Any]


class Item(NamedTuple):
    """Something that stands behind so many characters of the answer's text.

    One of these is set: what was `thought`; how a call `ended`, as a piece; the number of a tool's
    `output` among the turn's; a tool's `call` without one, because the turn ended before; or a call
    that `waits` for a person.
    """

    place: int
    thought: str = ""
    ended: Piece | None = None
    output: int | None = None
    call: dict[str, Any] | None = None
    waits: WaitingCall | None = None


def items_of(turn: TranscriptTurn) -> list[Item]:
    """Return the items of a turn that is in the log, in order."""
    ids = [tool.get("tool_call_id") for tool in turn.tools]
    found = list(_of_rounds(turn, left := dict(enumerate(ids))))
    at: Any = turn.metadata.get("tools_at")
    if not are_places(at, len(ids)):
        at = [0] * len(ids)
    others = [Item(at[number], output=number) for number in left]
    claimed = [item.waits for item in found]
    end = max((item.place for item in found), default=0)
    waiting = [Item(end, waits=call) for call in _waiting(turn) if call not in claimed]
    return sorted([*others, *found, *waiting], key=attrgetter("place"))


def _waiting(turn: TranscriptTurn) -> list[WaitingCall]:
    """Return the calls that wait; in a turn that goes on, each is shown when it starts."""
    return [] if turn.standing == "open" else list(turn.calls)


def are_places(given: Any, count: int) -> bool:
    """Return whether a value is a list of so many places in a text."""
    return (
        isinstance(given, list)
        and len(given) == count
        and all(type(place) is int and place >= 0 for place in given)
    )


def call_piece(number: int, gave: Round, seconds: float | None) -> Piece | None:
    """Return how a call of the model ended; None if its provider did not say."""
    if isinstance(gave, FailedCall):
        error = gave.error.get("kind") or gave.error.get("type", "error")
        return _piece(number, gave.model, gave.duration, {}, "", error)
    metadata, usage = gave.response_metadata, gave.usage_metadata or {}
    reason = reason_of(metadata)
    if not reason:
        return None
    model = metadata.get("model_name") or metadata.get("model") or ""
    return _piece(number, model, seconds, usage, reason, "")


def _piece(number: int, model: Any, seconds: Any, usage: Any, reason: str, error: Any) -> Piece:
    return {
        "kind": "call",
        "id": str(number),
        "model": wellformed(str(model)[:100]),
        "seconds": seconds if isinstance(seconds, int | float) else None,
        "input_tokens": _count(usage.get("input_tokens")),
        "output_tokens": _count(usage.get("output_tokens")),
        "reason": wellformed(reason[:100]),
        "error": wellformed(str(error)[:100]),
    }


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


def _of_rounds(turn: TranscriptTurn, left: dict[int, Any]) -> Iterator[Item]:
    """Yield what the rounds tell, and remove from `left` the outputs that they claim."""
    place, gap, number_of_message = 0, 0, 0
    ended = turn.standing not in ("open", "waiting")
    waiting = _waiting(turn)
    seconds = turn.metadata.get("call_seconds")
    seconds = seconds if isinstance(seconds, list) else []
    for number, gave in enumerate(_rounds(turn)):
        if gave is None:
            continue
        if isinstance(gave, FailedCall):
            yield Item(place, ended=call_piece(number, gave, None))
            continue
        thought = ""
        for part in Parts().of(gave):
            if part.thought:
                thought += part.text
                continue
            if thought:
                yield Item(place, thought=thought)
            place, thought, gap = place + gap + len(part.text), "", 0
        if thought:
            yield Item(place, thought=thought)
        took = seconds[number_of_message] if number_of_message < len(seconds) else None
        number_of_message += 1
        if piece := call_piece(number, gave, took):
            yield Item(place, ended=piece)
        for call in calls_of(gave):
            gap = 2 if place else 0  # What is said after a tool is a new paragraph.
            output = next((at for at, id_ in left.items() if id_ == call["id"]), None)
            if output is not None:
                del left[output]
                yield Item(place, output=output)
            elif waits := next((each for each in waiting if each.tool_call_id == call["id"]), None):
                waiting.remove(waits)
                yield Item(place, waits=waits)
            elif ended and ending_of(gave) is Ending.WHOLE:
                yield Item(place, call=call)


def _rounds(turn: TranscriptTurn) -> Sequence[Round | None]:
    """Return what the calls gave; None for one that cannot be read here."""
    payloads = turn.rounds
    if not payloads and turn.answer is not None and not turn.tools:
        payloads = [turn.answer]  # The only call's message is the answer.
    return [_round(payload) for payload in payloads]


def _round(payload: Any) -> Round | None:
    from langchain_core.messages import AIMessage

    if is_failure(payload):
        error = payload["error"] if isinstance(payload["error"], dict) else {}
        return FailedCall(str(payload.get("model", "")), error, payload.get("duration"))
    try:
        message = codec.decode(payload)
    except CodecError:
        return None
    return message if isinstance(message, AIMessage) else None
