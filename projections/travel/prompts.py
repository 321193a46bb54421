"""What a turn's model was given, from the log alone: `as_of(conversation, version=12).prompt()`.

When a turn starts, `described` describes its previous messages. `prompt_of` recovers them from that
description.
"""

from __future__ import annotations

import json
import sys
import uuid
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ...core import codec, conf
from ...core.codec.blobs import whole
from ...core.codec.cutting import cut
from ...core.errors import MomentError, TurnlogError
from ...core.sendable import names_of, sendable
from ...events.listed import LISTED, Listed, read_listed
from ...events.models import Content, Event
from ...events.prompt import describes_messages
from ...events.rounds import calls_of, in_order, is_failure
from ...events.tables.database import log_database
from ...events.tables.literal import Literal
from ...events.types import OPEN_TYPES, WAITING_TYPE, HistorySummarized, TurnStarted
from ..messages.previous import HistoryRule, Previous, read_of


class PromptLost(TurnlogError):
    """What a turn's model was given cannot be recovered from the log, or no longer."""

    def __init__(self, stream_id: int, turn_id: Any, why: str) -> None:
        super().__init__(
            f"conversation {stream_id}: what the model was given in turn {turn_id} cannot be"
            f" recovered from the log: {why}"
        )
        self.stream_id = stream_id
        self.turn_id = turn_id


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What the model was given in one of a turn's calls; `call` counts them from 1.

    `version` is the version of the turn's start. `messages` are LangChain messages as the model's
    client took them: first the system prompt as a SystemMessage, if there was one, then the
    previous messages, then the human's, and then what the earlier calls of the turn had given, each
    with its tools' outputs. `tools` are JSON schemas, `parameters` the known parameters of the
    call. What was erased since is left out.
    """

    conversation_id: int
    turn_id: uuid.UUID
    version: int
    model: str | None
    parameters: Mapping[str, Any]
    system_prompt: str
    messages: Sequence[Any]
    tools: Sequence[Mapping[str, Any]]
    call: int = 1


def prompt_of(stream_id: int, version: int, call: int | None = None) -> ModelInput:
    """Return what the model was given in the last turn that had begun at a version.

    This may be any user's turn, whatever its outcome. `call` names one of the turn's model calls by
    its number, from 1; None: the last one that the log tells of at that version.

    Raises MomentError if no turn had begun yet, or if it had no such call; PromptLost if the turn
    is erased, if it was started without saying what the model is given, or if a text in
    `turnlog_content` is missing.
    """
    return _given(_last_started(stream_id, version), version, call)


def prompt_of_turn(stream_id: int, turn_id: uuid.UUID, call: int | None = None) -> ModelInput:
    """Return what the model was given in a turn, as `prompt_of` does; as the turn is by now.

    Raises MomentError if the conversation has no such turn, or the turn no such call; PromptLost.
    """
    events = Event.objects.using(log_database()).filter(stream_id=stream_id, turn_id=turn_id)
    turn = list(events.order_by("version").only("version", "type"))
    started = next((event for event in turn if event.type == "TurnStarted"), None)
    if started is None:
        raise MomentError(
            stream_id,
            f"expected the id of a turn that asked a model, found {turn_id}; turns that only"
            " record_turn() appended do not say what was given",
        )
    return _given(events.get(version=started.version), turn[-1].version, call)


def _given(event: Event, version: int, call: int | None) -> ModelInput:
    data = _data(event)
    human = codec.decode(data.message)
    rounds, unfinished = _rounds(event, version)
    made = max(1, len(rounds) + unfinished)
    number = made if call is None else call
    if not 0 < number <= made:
        raise MomentError(
            event.stream_id,
            f"expected a model call from 1 to {made} of the turn at version {event.version},"
            f" found {call}",
        )
    earlier = [message for messages in rounds[: number - 1] for message in messages]
    system_prompt = _kept(event, data.system_prompt)
    schemas = _kept(event, data.tools)
    tools = json.loads(schemas) if schemas else []
    given = [*_system(system_prompt), *_previous(event, data.previous or {}), human, *earlier]
    names = names_of(tools)
    return ModelInput(
        event.stream_id,
        _turn_id(event),
        event.version,
        data.model,
        data.parameters,
        system_prompt,
        [sendable(message, names) for message in given],
        tools,
        number,
    )


def described(given: Sequence[Any], ruled: Previous, entries: Iterable[Listed]) -> dict[str, Any]:
    """Return `TurnStarted.previous` for the messages `given`, if a rule makes `ruled` of `entries`.

    If the two are the same, a few numbers describe them, however many messages there are. If not,
    each message is given as the version of an entry that equals it, or whole. Raises CodecError for
    a message that cannot be stored exactly.
    """
    texts = [codec.dumps(message) for message in given]
    if texts == [codec.dumps(message) for message in ruled.messages]:
        return ruled.described()
    versions: dict[str, list[int]] = defaultdict(list)
    for entry in entries:
        versions[entry.content].append(entry.version)
    # An entry's large strings are blobs: compare with what would be stored of the message.
    longest = conf.get().blob_threshold
    return {"messages": _items([(cut(text, longest).text, text) for text in texts], versions)}


def _items(texts: Sequence[tuple[str, str]], versions: Mapping[str, list[int]]) -> list[Any]:
    """Return each message, given as it would be stored and as it is, as the version of an equal
    entry, or whole.

    It goes from the last message to the first. If several entries equal a message, it takes the
    last one before the following message's entry or, if there is none, the last of all.
    """
    items: list[Any] = []
    following = sys.maxsize
    for stored, text in reversed(texts):
        if stored in versions:
            known = versions[stored]
            following = known[bisect_left(known, following) - 1]
            items.append(following)
        else:
            items.append(json.loads(text))
    return items[::-1]


def _rounds(started: Event, version: int) -> tuple[list[list[Any]], bool]:
    """Return, for each call that the log tells of, its message and those of its tools' outputs; and
    whether another call was made, which failed or was stopped before it gave a message."""
    events = Event.objects.using(log_database()).filter(
        stream_id=started.stream_id, turn_id=started.turn_id, version__lte=version
    )
    turn = _last_telling(list(events.exclude(type="TurnStarted").order_by("version")))
    rounds: list[list[Any]] = []
    for item in _called(turn):
        if "_type" in item:
            rounds.append([codec.decode(item)])
        elif rounds:
            rounds[-1].append(tool_message_of(item))
    ended_early = bool(turn) and (
        turn[-1].type == "TurnFailed" or turn[-1].meta.get("outcome") == "cancelled"
    )
    asked = len(calls_of(rounds[-1][0])) if rounds else 0
    return rounds, ended_early and 0 < asked < len(rounds[-1])


def _last_telling(turn: list[Event]) -> list[Event]:
    """Return the events that tell of the turn's calls: the record, else how it was closed, else
    what it last waited for. Each of them has all that those before it have."""
    recorded = [event for event in turn if event.type not in ("TurnFailed", *OPEN_TYPES)]
    if any(event.type in LISTED for event in recorded):
        return recorded
    closed = [event for event in turn if event.type == "TurnFailed"]
    return (closed or [event for event in turn if event.type == WAITING_TYPE])[-1:]


def _called(turn: Sequence[Event]) -> Iterator[dict[str, Any]]:
    """Yield the documents of a turn's model calls, and its tools' payloads, in order."""
    for event in turn:
        payload = json.loads(whole(event.payload or "null"))
        if payload is None:
            continue  # It is erased.
        if event.type in ("ModelCallRecorded", "ToolOutputRecorded"):
            yield payload
        elif event.type in ("TurnFailed", WAITING_TYPE) and (
            rounds := payload["produced"].get("rounds")
        ):
            gave = [document for document in rounds if not is_failure(document)]
            decoded = [codec.decode(document) for document in gave]
            documents: Mapping[int, Any] = dict(zip(map(id, decoded), gave, strict=True))
            for item in in_order(decoded, payload["produced"]["tools"]):
                yield documents.get(id(item), item)


def tool_message_of(payload: Mapping[str, Any]) -> Any:
    """Return the ToolMessage by which the model was told of a ToolOutputRecorded's payload."""
    from langchain_core.messages import ToolMessage

    return ToolMessage(
        read_of(payload),
        tool_call_id=payload.get("tool_call_id") or "",
        name=payload.get("tool"),
        status="error" if payload.get("status") == "error" else "success",
    )


def _last_started(stream_id: int, version: int) -> Event:
    started = Event.objects.using(log_database()).filter(
        stream_id=stream_id, type=Literal("TurnStarted"), version__lte=version
    )
    last = started.order_by("-version").first()
    if last is None:
        raise MomentError(
            stream_id,
            "expected a moment at which a model had been asked, found none up to version"
            f" {version}; turns that only record_turn() appended do not say what was given",
        )
    return last


def _data(event: Event) -> TurnStarted:
    data = event.data
    if data is None:
        raise _lost(event, "it is erased")
    if not isinstance(data, TurnStarted) or data.previous is None:
        raise _lost(
            event,
            "it was started without the previous messages; pass them to start_turn() with"
            " prompt=Prompt(previous=...). If setting up the model failed, there are none",
        )
    if not describes_messages(data.previous):
        raise _lost(event, "what it says of the previous messages describes none")
    return data


def _kept(event: Event, digest: str | None) -> str:
    """Return a text by its digest; an empty text if there is no digest."""
    if digest is None:
        return ""
    contents = Content.objects.using(log_database())
    text = contents.filter(pk=digest).values_list("text", flat=True).first()
    if text is None:
        raise _lost(event, f"turnlog_content has no text {digest}; restore the table")
    if sha256(text.encode()).hexdigest() != digest:
        raise _lost(event, f"turnlog_content has another text under {digest}; restore the table")
    return text


def _system(prompt: str) -> list[Any]:
    from langchain_core.messages import SystemMessage

    return [SystemMessage(prompt)] if prompt else []


def _previous(event: Event, previous: Mapping[str, Any]) -> list[Any]:
    if "messages" in previous:
        return _itemised(event.stream_id, previous["messages"])
    since, until = previous["since"], previous["until"]
    listed = read_listed(event.stream_id, previous.get("at", until))
    entries = [
        entry
        for entry in listed
        if since <= entry.version <= until and entry.actor_id == event.actor_id
    ]
    summary = _summary(event.stream_id, previous.get("summary"))
    return [*summary, *HistoryRule(previous["tools"]).of_entries(entries).messages]


def _summary(stream_id: int, version: int | None) -> list[Any]:
    """Return the summary at a version; nothing if it is erased."""
    if version is None:
        return []
    events = Event.objects.using(log_database()).filter(stream_id=stream_id, version=version)
    data = next((event.data for event in events), None)
    return [codec.decode(data.message)] if isinstance(data, HistorySummarized) else []


def _itemised(stream_id: int, items: Sequence[Any]) -> list[Any]:
    versions = {item for item in items if type(item) is int}
    events = Event.objects.using(log_database()).filter(stream_id=stream_id, type__in=LISTED)
    if versions:
        # A range, because each version would be a parameter, and the number of these is limited.
        events = events.filter(version__gte=min(versions), version__lte=max(versions))
    found = dict(events.values_list("version", "payload")) if versions else {}
    messages = []
    for item in items:
        if type(item) is not int:
            messages.append(codec.decode(item))
        elif (payload := found.get(item)) is not None:
            messages.append(codec.loads(payload))
    return messages


def _turn_id(event: Event) -> uuid.UUID:
    if event.turn_id is None:
        raise _lost(event, "its start has no turn_id")
    return event.turn_id


def _lost(event: Event, why: str) -> PromptLost:
    return PromptLost(event.stream_id, event.turn_id, why)
