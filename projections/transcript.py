"""What a person sees of a conversation: whole turns, including failed and open ones.

The message list holds what models are given. A transcript is for people: it is folded from the
events themselves, newest first and only as far as is asked for.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ..core.codec.blobs import MARK
from ..core.codec.encoded import Encoded
from ..core.codec.excerpts import outline
from ..core.errors import CodecError, UnreadableEvent
from ..events.erasure.past import Erasure, erasures_of
from ..events.listed import LISTED
from ..events.models import Event
from ..events.rounds import is_failure
from ..events.tables.database import log_database
from ..events.types import WAITING_TYPE, Outcome
from ..events.waiting import WaitingCall, decisions_on, with_decision
from . import blobs
from .blobs import SHOWN
from .outline import TurnPlace, of_turns, read_outline

logger = logging.getLogger("turnlog")

Standing = Literal[
    "open", "waiting", "completed", "failed", "cancelled", "interrupted", "unrecorded", "erased"
]

_HUMAN = ("HumanMessage", "HumanMessageChunk")


@dataclass(slots=True)
class TranscriptTurn:
    """One turn: the documents of its messages (None if there is none), and its standing."""

    turn_id: uuid.UUID
    first: int
    last: int
    at: dt.datetime
    standing: Standing
    human: Any = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    calls: Sequence[WaitingCall] = ()
    """The calls that wait for a person, or that nobody had decided when the turn ended."""
    answer: Any = None
    rounds: list[Any] = field(default_factory=list)
    """The payloads of the model's calls: ModelCallRecorded's or ModelCallFailed's."""
    error: dict[str, str] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    erasure: Erasure | None = None
    finished: bool = False
    """Whether its messages are in the message list."""
    has_blobs: bool = False
    """Whether large strings are not in its documents; see `with_texts`."""
    alternatives: Sequence[uuid.UUID] = ()
    """The turns that can stand in its place, itself among them; empty if there is no other."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Turns in order, as they were at version `head` of the stream; see `Outline`."""

    turns: Sequence[TranscriptTurn]
    head: int
    cleared: int
    more: bool
    erased: int = 0


def read_transcript(
    stream_id: int, user: Any, *, after: int = 0, before: int | None = None, limit: int
) -> Transcript:
    """Return the turns that `read_outline` names, at once."""
    outline = read_outline(stream_id, user, after=after, before=before, limit=limit)
    turns = read_turns(stream_id, outline.places, outline.head)
    return Transcript(turns, outline.head, outline.cleared, outline.more, outline.erased)


def read_turns(stream_id: int, places: Sequence[TurnPlace], head: int) -> list[TranscriptTurn]:
    """Return turns as they stood at version `head`, in the order they began.

    Takes one query, one more if a turn was erased, and one if a turn waits.
    """
    if not places:
        return []
    ids = [place.turn_id for place in places]
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    events = list(of_turns(stream, ids, head).order_by("at"))
    turns = with_texts(fold_turns(events))
    note_erasures(turns, stream_id)
    note_decisions(turns, events)
    others = {place.turn_id: place.alternatives for place in places}
    for turn in turns:
        turn.alternatives = others[turn.turn_id]
    return turns


def fold_turns(events: Iterable[Event]) -> list[TranscriptTurn]:
    """Return turns in the order they began, from events in order of version."""
    turns: dict[uuid.UUID, TranscriptTurn] = {}
    for event in events:
        if event.turn_id is None:
            continue
        turn = turns.get(event.turn_id)
        if turn is None:
            turn = turns[event.turn_id] = TranscriptTurn(
                event.turn_id, event.version, event.version, event.recorded_at, "open"
            )
        turn.last = event.version
        _apply(turn, event)
    return list(turns.values())


def _apply(turn: TranscriptTurn, event: Event) -> None:
    if event.payload is None:
        turn.standing = "erased"
        return
    try:
        event = event.current
    except UnreadableEvent as error:
        # The rest of the conversation is still shown. The log line leaves out the error's text: it
        # may quote what people said.
        what = (type(error).__name__, error.type_name, error.schema)
        logger.warning("event %s is left out of a transcript: %s, %s schema %s", event, *what)
        return
    if event.type in LISTED and not turn.finished:
        # The batch that finishes the turn. It contains in full what a failure had recorded.
        turn.finished = True
        turn.standing, turn.error, turn.answer = "completed", None, None
        turn.tools.clear()
        turn.calls = ()
        turn.rounds.clear()
    payload = _document(event)
    turn.has_blobs = turn.has_blobs or MARK in (event.payload or "")
    if event.type == "TurnStarted":
        turn.human = payload["message"] if _has(payload, "message") else payload
        turn.metadata |= _metadata(event)
    elif event.type == "MessageAppended":
        if isinstance(payload, dict) and payload.get("_type") in _HUMAN:
            turn.human = payload
        else:
            turn.answer = payload
        metadata = _metadata(event)
        turn.metadata |= metadata
        if metadata.get("outcome") == "cancelled":
            turn.standing = "cancelled"  # Somebody stopped it; what it had said is kept.
    elif event.type in ("ModelCallRecorded", "ModelCallFailed"):
        turn.rounds.append(payload)
    elif event.type == "ToolOutputRecorded":
        turn.tools.append(_tool(payload))
    elif event.type == WAITING_TYPE:
        _wait(turn, payload)
        turn.metadata |= _metadata(event)
    elif event.type == "TurnResumed":
        turn.standing = "open"
    elif event.type == "TurnFailed":
        if turn.standing != "waiting":
            turn.calls = ()
        turn.metadata |= _metadata(event)
        _fail(turn, payload)


# How deep the outputs of tools are in a payload: they stay text.
_DEPTHS = {"ToolOutputRecorded": 1, "TurnFailed": 4, WAITING_TYPE: 4}


def _document(event: Event) -> Any:
    """Return a payload's document; if it is no JSON, its text, which cannot be decoded either."""
    text = event.payload or "null"
    try:
        depth = _DEPTHS.get(event.type)
        return json.loads(text) if depth is None else outline(text, depth)
    except (CodecError, ValueError, RecursionError):
        logger.warning("the payload of event %s is not JSON", event)
        return Encoded(text)


def _metadata(event: Event) -> dict[str, Any]:
    try:
        found = event.meta
    except (ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


def _has(payload: Any, *names: str) -> bool:
    return isinstance(payload, dict) and all(name in payload for name in names)


def _tool(payload: Any) -> dict[str, Any]:
    """Return a tool's payload; one that the log would not have written is shown as the output."""
    if _has(payload, "tool", "input", "output") and isinstance(payload["tool"], str):
        return dict(payload)
    return {"tool": "", "input": None, "output": payload}


def _fail(turn: TranscriptTurn, payload: Any) -> None:
    produced: Any = payload.get("produced") if isinstance(payload, dict) else None
    if not _has(payload, "outcome", "error") or not _has(produced, "tools", "message"):
        turn.standing, turn.answer = "failed", payload
        return
    outcome, error = payload["outcome"], payload["error"]
    turn.standing = outcome if outcome in get_args(Outcome) else "failed"
    texts = error.items() if isinstance(error, dict) else ()
    turn.error = {name: text for name, text in texts if isinstance(text, str)} or None
    _produce(turn, produced)


def _produce(turn: TranscriptTurn, produced: dict[str, Any]) -> None:
    tools, rounds = produced["tools"], produced.get("rounds")
    turn.tools = [_tool(tool) for tool in tools] if isinstance(tools, list) else []
    turn.rounds = rounds if isinstance(rounds, list) else []
    turn.answer = produced["message"]


def _wait(turn: TranscriptTurn, payload: Any) -> None:
    calls = payload.get("calls") if isinstance(payload, dict) else None
    produced: Any = payload.get("produced") if isinstance(payload, dict) else None
    turn.standing = "waiting"
    if not isinstance(calls, list) or not _has(produced, "tools", "message"):
        turn.answer = payload
        return
    names = ("number", "tool", "tool_call_id", "input")
    turn.calls = [WaitingCall(*(call[name] for name in names)) for call in calls if _asks(call)]
    _produce(turn, produced)


def _asks(call: Any) -> bool:
    named = _has(call, "number", "tool", "tool_call_id", "input")
    return named and type(call["number"]) is int and isinstance(call["tool"], str)


def note_decisions(turns: Sequence[TranscriptTurn], events: Sequence[Event]) -> None:
    """Give turns that wait what was decided since; one query if there is one."""
    requests = {event.turn_id: event for event in events if event.type == WAITING_TYPE}
    for turn in turns:
        if turn.standing != "waiting":
            continue
        decided = {event.data.call: event for event in decisions_on(requests[turn.turn_id])}
        turn.calls = [with_decision(call, decided.get(call.number)) for call in turn.calls]


def with_texts(
    turns: list[TranscriptTurn], longest: int | None = SHOWN, room: blobs.Room | None = None
) -> list[TranscriptTurn]:
    """Put the large texts that are blobs in their places: see `blobs.message` and `blobs.tool`.

    Reads them from the database: nothing for the event loop, nor for its rendering thread.
    """
    room = room or blobs.Room()
    for turn in reversed(turns):
        if turn.has_blobs:
            turn.answer = blobs.message(turn.answer, room, longest)
            turn.human = blobs.message(turn.human, room, longest)
            turn.rounds = [
                one if is_failure(one) else blobs.message(one, room, longest) for one in turn.rounds
            ]
            turn.tools = [blobs.tool(tool, longest) for tool in turn.tools]
            turn.calls = [call._replace(input=blobs.arguments(call.input)) for call in turn.calls]
            turn.has_blobs = False
    return turns


def note_erasures(turns: Sequence[TranscriptTurn], stream_id: int) -> None:
    """Give erased turns the reason; one query if there are some."""
    erased = [turn for turn in turns if turn.standing == "erased"]
    if not erased:
        return
    erasures = erasures_of(stream_id)
    for turn in erased:
        turn.erasure = erasures.get(turn.last) or erasures.get(turn.first)
