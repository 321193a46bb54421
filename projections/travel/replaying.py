"""A conversation's events as lines for a terminal: who, when and what, in the recorded order."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from ...core import codec
from ...core.errors import CodecError, UnreadableEvent
from ...core.terminal import safe
from ...core.wording import text_of
from ...events.erasure.past import Erasure
from ...events.models import Event
from ...events.types import (
    BranchChosen,
    ConversationCleared,
    ConversationForked,
    ConversationOpened,
    EventData,
    HistorySummarized,
    HoldLifted,
    HoldPlaced,
    MessageAppended,
    ModelCallFailed,
    ModelCallRecorded,
    OwnerChanged,
    PayloadErased,
    TitleChanged,
    ToolApprovalDecided,
    ToolApprovalRequested,
    ToolOutputRecorded,
    TurnFailed,
    TurnResumed,
    TurnStarted,
)
from .prompts import ModelInput
from .speakers import Speakers

_ROLES = {
    "HumanMessage": "human",
    "AIMessage": "ai",
    "AIMessageChunk": "ai",
    "SystemMessage": "system",
    "ToolMessage": "tool",
}
_ERASED = {
    "TurnStarted": "human",
    "MessageAppended": "message",
    "ModelCallRecorded": "model call",
    "ModelCallFailed": "failed call",
    "ToolOutputRecorded": "tool",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown of an event: `text` may have several lines, and is safe to print.

    `by` says which person it was, if it was one: ` ada`, or ` by ada` for what is no message.
    """

    version: int
    at: dt.datetime
    who: str
    text: str
    wrong: bool = False
    by: str = ""


Told = tuple[str, str, bool]
"""The speaker, the text, and whether something went wrong."""


class Teller:
    """Makes lines of a stream's events, which are given in order from the first."""

    def __init__(self, erasures: Mapping[int, Erasure] | None = None) -> None:
        self._erasures = erasures or {}
        self._speakers = Speakers()
        self.unreadable: list[UnreadableEvent] = []
        """The errors of events that could only be shown as they are stored."""
        self._asked: dict[uuid.UUID | None, Any] = {}

    def lines(self, event: Event) -> list[Line]:
        """Return an event's lines: none for words already shown, several for a failed turn."""
        return [
            Line(
                event.version,
                event.recorded_at,
                safe(who),
                safe(text),
                wrong,
                safe(self._by(event, who)),
            )
            for who, text, wrong in self._told(event)
        ]

    def _by(self, event: Event, who: str) -> str:
        if who == "human":
            return f" {self._speakers.name(event.actor_id)}"
        # The events of a turn have the person's pseudonym, too, whoever speaks.
        acted = event.turn_id is None and event.actor_id is not None
        if not acted or event.type == "ConversationOpened":
            return ""
        return f" by {self._speakers.name(event.actor_id)}"

    def _told(self, event: Event) -> Iterator[Told]:
        try:
            data = event.data
        except UnreadableEvent as error:
            # Shown as it is stored, rather than not at all.
            self.unreadable.append(error)
            yield event.type, event.payload or "", False
            return
        match data:
            case None:
                yield _ERASED.get(event.type, event.type), self._erased(event), False
            case TurnStarted(message=message):
                self._asked[event.turn_id] = message
                yield _message(message)
            case MessageAppended(message=message):
                # A finished turn repeats what the human said when it was started.
                if self._asked.pop(event.turn_id, None) != message:
                    yield _message(message)
            case _:
                yield from _fact(data)

    def _erased(self, event: Event) -> str:
        erasure = self._erasures.get(event.version)
        if erasure is None:  # It is being erased right now.
            return "(erased)"
        day = timezone.localtime(erasure.at).strftime("%Y-%m-%d")
        return f"(erased on {day} for {erasure.reason})"


def given_lines(given: ModelInput) -> Iterator[Told]:
    """Yield what a model was given as lines, safe to print: its settings, tools and messages."""
    yield "model", safe(given.model or "unknown"), False
    yield "parameters", safe(codec.to_json(dict(given.parameters))), False
    for tool in given.tools:
        yield "may call", safe(codec.to_json(tool)), False
    for message in given.messages:
        who, text, wrong = _message(codec.encode(message))
        yield safe(who), safe(text), wrong


def _fact(data: EventData) -> Iterator[Told]:
    match data:
        case ConversationOpened():
            yield "opened", data.title, False
        case TitleChanged():
            yield "title", data.title, False
        case OwnerChanged():
            yield "owner", f"{data.owner or 'nobody'}, formerly {data.former or 'nobody'}", False
        case ModelCallRecorded(message=message):
            _, words, wrong = _message(message)
            yield "model call", words, wrong
        case ModelCallFailed():
            said = f"{data.model}: {data.error.get('type', '')}: {data.error.get('text', '')}"
            yield "failed call", said, True
        case ToolOutputRecorded():
            yield _tool(data)
        case TurnFailed():
            yield from _failure(data)
        case ToolApprovalRequested():
            yield from _asking(data)
        case ToolApprovalDecided():
            what = "approved" if data.approved else "rejected"
            why = f": {data.reason}" if data.reason else ""
            yield what, f"call {data.call} of turn {data.turn}{why}", not data.approved
        case TurnResumed():
            yield "resumed", data.model or "", False
        case HistorySummarized():
            _, words, _ = _message(data.message)
            yield "summary", f"of versions {data.since} to {data.until}: {words}", False
        case ConversationCleared():
            yield "cleared", data.reason, False
        case BranchChosen():
            what = f", instead of turn {data.instead_of}" if data.instead_of else ""
            yield "branch", f"turn {data.turn}{what}", False
        case ConversationForked():
            yield "forked", f"from conversation {data.parent} at version {data.version}", False
        case PayloadErased():
            versions = ", ".join(map(str, data.versions))
            yield "erased", f"versions {versions}: {data.reason}", False
        case HoldPlaced():
            yield "held", data.reason, False
        case HoldLifted():
            yield "hold lifted", data.reason, False
        case _:
            yield type(data).__name__, codec.to_json(data.payload()), False


def _asking(data: ToolApprovalRequested) -> Iterator[Told]:
    """Yield what the turn had produced, and then the calls that it waits for."""
    for tool in data.produced["tools"]:
        yield _tool(ToolOutputRecorded.from_payload(tool))
    if data.produced["message"] is not None:
        yield _message(data.produced["message"])
    for call in data.calls:
        asked = "" if call["input"] is None else _compact(call["input"])
        yield "waits for", f"{call['number']}: {call['tool']}({asked})", False


def _failure(data: TurnFailed) -> Iterator[Told]:
    """Yield what the turn had produced, and then how it ended."""
    for tool in data.produced["tools"]:
        yield _tool(ToolOutputRecorded.from_payload(tool))
    if data.produced["message"] is not None:
        yield _message(data.produced["message"])
    why = f": {data.error.get('type')}: {data.error.get('text')}" if data.error else ""
    yield "turn", data.outcome + why, True


def _message(document: Any) -> Told:
    try:
        message = codec.decode(document)
    except CodecError:  # For example, its class is no longer registered.
        message = None
    if not hasattr(message, "content"):
        return "message", _compact(document), False
    return _ROLES.get(document["_type"], document["_type"]), _words(message), False


def _words(message: Any) -> str:
    """Return a message's text, with a mark for other content, and its tool calls."""
    content = message.content
    blocks = content if isinstance(content, list) else [content]
    words = "".join(_block(block) for block in blocks if not _is_call(block))
    calls = [
        f"calls {call.get('name')}({text_of(call.get('args'))})"
        for call in getattr(message, "tool_calls", ())
    ]
    return "\n".join(filter(None, [words, *calls]))


def _is_call(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in ("tool_use", "function_call")


def _block(block: Any) -> str:
    if isinstance(block, dict):
        text = block.get("text")
        return text if isinstance(text, str) else f"[{block.get('type', 'content')}]"
    return text_of(block)


def _tool(data: ToolOutputRecorded) -> Told:
    asked = "" if data.input is None else _compact(data.input)
    return "tool", f"{data.tool}({asked}) -> {_compact(data.output)}", data.status == "error"


def _compact(document: Any) -> str:
    try:
        return document if isinstance(document, str) else codec.to_json(document)
    except CodecError:
        return "(not JSON)"  # Such as NaN, which Python reads and nobody else does.
