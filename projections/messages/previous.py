"""The previous messages that a model is given: a rule makes them from the listed entries.

The rule is a pure function of the log. The same entries under the same rule give the same messages,
whether turnlog reads them for a turn or, later, to show what that turn was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core import codec
from ...core.codec.blobs import read, whole
from ...core.codec.encoded import Encoded
from ...core.codec.excerpts import outline
from ...core.content_blocks import content_of
from ...core.errors import CodecError
from ...core.wellformed import wellformed, wellformed_value
from ...events.listed import Listed
from ...events.summaries import Summary
from .documents import stored_message
from .tokens import tokens_in

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, ToolMessage

NO_RESULT = "No result of this call was recorded."

# Characters that the models' APIs refuse in a tool's name.
_NOT_IN_NAMES = re.compile(r"[^\w-]", re.ASCII)
# Calls in OpenAI's older form, and what a model thinks beside its content.
_NOT_GIVEN = ("tool_calls", "function_call", "reasoning", "reasoning_content")
_HUMAN = ('{"_type":"HumanMessage"', '{"_type":"HumanMessageChunk"')
_AT_FIRST = 32
_TOOL_MESSAGES = ("ToolMessage", "ToolMessageChunk")


class Previous(NamedTuple):
    """Messages, and the versions of the first and the last entry that they come from (0: none).

    `tools` is the rule's. From these three values the log gives the same messages again: the list
    at the last entry's version is the list that was read, and trimming kept it from the first.
    `summary` is the version of the summary whose message comes first (0: there is none).
    """

    messages: list[Any]
    since: int
    until: int
    tools: bool
    summary: int = 0

    def after(self, summary: Summary) -> Previous:
        """Return the same messages after those of a summary."""
        return self._replace(messages=[summary.message, *self.messages], summary=summary.version)

    def described(self) -> dict[str, Any]:
        """Return the `previous` of a TurnStarted, and of its Prompt."""
        said: dict[str, Any] = {"tools": self.tools, "since": self.since, "until": self.until}
        return said | ({"summary": self.summary} if self.summary else {})


@dataclass(frozen=True, slots=True)
class HistoryRule:
    """How the messages that a model is given follow from the message list.

    By default the model gets what people and the model said. With `tools` it also gets the tool
    calls and their outputs, in the form that the models' APIs demand: exactly one tool message
    follows each call. With `max_tokens` it gets the last whole turns that fit, counted by
    LangChain's `count_tokens_approximately`.
    """

    tools: bool = False
    max_tokens: int | None = None

    def of_entries(self, entries: Iterable[Listed]) -> Previous:
        """Return the messages that follow from entries of the message list, in order of version."""
        entries = list(entries)
        parts = [_part_of_entry(entry.content, self.tools) for entry in entries]
        given = self._given(parts)
        if not given:
            return Previous([], 0, 0, self.tools)
        places = [message.place for message in given]
        return Previous(
            [message.message for message in given],
            entries[min(places)].version,
            entries[max(places)].version,
            self.tools,
        )

    def of_newest(self, newest: Callable[[int | None], Sequence[Listed]]) -> Previous:
        """Return the same as of all entries, and read only as many as it takes.

        `newest` gives the last entries, as many as it is told or all, in order of version.
        """
        count = None if self.max_tokens is None else _AT_FIRST
        while count is not None and len(entries := newest(count)) == count:
            previous = self.of_entries(entries)
            first = next((e.version for e in entries if e.content.startswith(_HUMAN)), None)
            # What does not fit from there on does not fit from further back.
            if first is not None and first != previous.since:
                return previous
            count *= 4
        return self.of_entries(newest(None) if count is None else entries)

    def older(self, entries: Sequence[Listed], keep_tokens: int) -> Sequence[Listed]:
        """Return the entries before the last whole turns that have so many tokens, approximately;
        the last turn is never among them."""
        begins = [at for at, entry in enumerate(entries) if entry.content.startswith(_HUMAN)]
        tokens, end = 0, len(entries)
        for begin in reversed(begins):
            tokens += tokens_in(self.of_entries(entries[begin:end]).messages)
            if tokens > keep_tokens and end < len(entries):
                break
            end = begin
        return entries[:end]

    def oldest(self, entries: Sequence[Listed], max_tokens: int) -> Sequence[Listed]:
        """Return the entries of the first whole turns that have so many tokens, approximately; the
        first turn is always among them."""
        begins = [at for at, entry in enumerate(entries) if entry.content.startswith(_HUMAN)]
        tokens, end = 0, 0
        for begin in [*begins[1:], len(entries)]:
            tokens += tokens_in(self.of_entries(entries[end:begin]).messages)
            if tokens > max_tokens and end > 0:
                break
            end = begin
        return entries[:end]

    def of_messages(self, said: Iterable[Any]) -> list[Any]:
        """Return the same from what `get_histories` returns: messages and AddableDicts."""
        return [message.message for message in self._given([_part_of(item) for item in said])]

    def _given(self, parts: Sequence[_Part]) -> list[_Given]:
        given = list(_spoken(parts, self.tools))
        if self.max_tokens is None or not given:
            return given
        kept = _last_that_fit([message.message for message in given], self.max_tokens)
        if not kept:
            return []
        first = given[-len(kept)].place
        # Make them again from there: numbering starts at the first call that is given.
        shifted = _spoken(parts[first:], self.tools)
        return [_Given(message.message, message.place + first) for message in shifted]


class _Output(NamedTuple):
    """A tool's output, as a model reads it: `content` is text or a list of content blocks."""

    tool: str
    call_id: str
    args: dict[str, Any]
    content: Any
    failed: bool


class _Given(NamedTuple):
    """A message, and the place of the part that it comes from."""

    message: Any
    place: int


class _Call(NamedTuple):
    """A call in a model's message, its output (None: it has none), and the output's place."""

    tool: str
    args: dict[str, Any]
    output: _Output | None
    place: int


_Part = Any
"""A HumanMessage, an AIMessage, an _Output, or None for an entry that no model is given."""


def _part_of_entry(content: str, tools: bool) -> _Part:
    # The codec writes a message like this; a tool output's payload begins with the tool.
    if not content.startswith('{"_type":'):
        if not tools and content.startswith('{"tool":'):
            return None
        payload = _payload_of(content)
        if not isinstance(payload, dict):
            return None  # An older version recorded any value as a message.
        if "_type" not in payload:
            return _output_of(payload) if tools else None
    return _part_of(stored_message(content))


def _payload_of(content: str) -> Any:
    """Return a tool's payload, of which large parts are an `Encoded`; None if it is no JSON."""
    try:
        return outline(content, 1)
    except CodecError:
        return None


def _part_of(item: Any) -> _Part:
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

    if isinstance(item, HumanMessage | AIMessage):
        return item
    if isinstance(item, ToolMessage):
        failed = item.status == "error"
        content = wellformed_value(item.content)
        return _Output(item.name or "", item.tool_call_id, {}, content, failed)
    if isinstance(item, Mapping):
        if isinstance(stored := item.get("unreadable"), str):
            # Its class is not registered here; the text has what a model needs.
            payload = _payload_of(stored)
            return _output_of(payload) if isinstance(payload, dict) else None
        if item.get("tool_call_id") is not None:
            names = ("input", "output", "text")
            documents = {name: codec.encode(item.get(name)) for name in names}
            return _output_of({**item, **documents})
    return None


def _output_of(payload: Mapping[str, Any]) -> _Output | None:
    """Return an output; None if it answers no call: an executor's chunk, a note without an id."""
    call_id, tool = payload.get("tool_call_id"), payload.get("tool") or ""
    if not isinstance(call_id, str) or not isinstance(tool, str):
        return None
    failed = payload.get("status") == "error"
    try:
        content = read_of(payload)
    except CodecError as error:
        content = f"This cannot be read: {error}"
    return _Output(tool, call_id, _args(payload.get("input")), content, failed)


# The beginnings of documents that a model reads as JSON, whatever is in them.
_PLAIN_JSON = ("[", '{"_type":"pandas.', '{"_type":"numpy.', '{"_type":"PIL.', '{"_type":"bytes"')


def read_of(payload: Mapping[str, Any]) -> Any:
    """Return what the model read of a ToolOutputRecorded: its text or blocks, or else the output,
    as JSON if need be."""
    beside = payload.get("text") is not None
    document = payload["text"] if beside else payload.get("output")
    if isinstance(document, Encoded):
        if not beside and document.text.startswith(_PLAIN_JSON):
            return wellformed(whole(document.text))
        document = read(document.text)
    tag = document.get("_type") if isinstance(document, dict) else None
    if tag == "str" or (beside and isinstance(document, list)):
        document = codec.decode(document)
    elif tag in _TOOL_MESSAGES:
        document = codec.decode(document).content
    elif not isinstance(document, str):
        document = codec.to_json(document)
    return wellformed_value(document)


def _args(document: Any) -> dict[str, Any]:
    """Return a call's arguments as a JSON object, in whatever form the tool got them."""
    if isinstance(document, Encoded):
        document = read(document.text)
    if isinstance(document, dict):
        return document
    return {} if document is None else {"input": document}


def _last_that_fit(messages: list[Any], max_tokens: int) -> list[Any]:
    from langchain_core.messages import HumanMessage
    from langchain_core.messages.utils import trim_messages

    kept: list[Any] = trim_messages(
        messages,
        max_tokens=max_tokens,
        token_counter=tokens_in,
        strategy="last",
        # So whole turns remain, and no output without its call. The class covers chunks too.
        start_on=HumanMessage,
    )
    return kept


def _spoken(parts: Sequence[_Part], tools: bool) -> Iterator[_Given]:
    # Our own ids: the models' ids repeat, are missing, or are refused by another provider. All
    # providers take nine letters and digits, and with a fixed length they cost the same wherever
    # the list begins.
    ids = map("call{:05}".format, count(1))
    for turn in _turns(parts):
        yield from _with_calls(turn, ids) if tools else _words(turn)


def _turns(parts: Sequence[_Part]) -> Iterator[list[tuple[int, _Part]]]:
    """Yield places and parts; each human message starts a new list."""
    from langchain_core.messages import HumanMessage

    turn: list[tuple[int, _Part]] = []
    for place, part in enumerate(parts):
        if isinstance(part, HumanMessage):
            yield turn
            turn = []
        if part is not None:
            turn.append((place, part))
    yield turn


def _words(turn: list[tuple[int, _Part]]) -> Iterator[_Given]:
    for place, part in turn:
        if not isinstance(part, _Output):
            yield _Given(_without_calls(part), place)


def _with_calls(turn: list[tuple[int, _Part]], ids: Iterator[str]) -> Iterator[_Given]:
    """Yield a turn's messages, with each output behind its call."""
    from langchain_core.messages import AIMessage

    outputs = {place: part for place, part in turn if isinstance(part, _Output)}
    messages = [(place, part) for place, part in turn if not isinstance(part, _Output)]
    own = {place: list(_claimed(part, outputs)) for place, part in messages}
    for place, message in messages:
        yield from _called(AIMessage(""), _unclaimed(outputs, until=place), ids)
        if own[place]:
            yield from _called(message, own[place], ids, place)
        else:
            yield _Given(_without_calls(message), place)
    yield from _called(AIMessage(""), _unclaimed(outputs), ids)


def _claimed(message: Any, outputs: dict[int, _Output]) -> Iterator[_Call]:
    """Yield a message's calls, each with the first output of its id, removed from `outputs`."""
    calls = getattr(message, "tool_calls", ()), getattr(message, "invalid_tool_calls", ())
    for call in (call for some in calls for call in some):
        asked = call["id"] or ""
        place = next((at for at, output in outputs.items() if output.call_id == asked), -1)
        args = _args(codec.encode(wellformed_value(call["args"])))
        yield _Call(call["name"] or "", args, outputs.pop(place, None), place)


def _unclaimed(outputs: dict[int, _Output], until: int | None = None) -> list[_Call]:
    """Remove the outputs before a place; return them as calls that no message has."""
    places = [place for place in outputs if until is None or place < until]
    found = [(place, outputs.pop(place)) for place in places]
    return [_Call(output.tool, output.args, output, place) for place, output in found]


def _called(
    message: AIMessage, calls: Sequence[_Call], ids: Iterator[str], place: int | None = None
) -> Iterator[_Given]:
    """Yield a message that makes these calls and a tool message for each; nothing without calls."""
    numbered = [(next(ids), call) for call in calls]
    if not numbered:
        return
    asked = [
        {"name": _name(call), "args": call.args, "id": id_, "type": "tool_call"}
        for id_, call in numbered
    ]
    asking = _without_calls(message).model_copy(update={"tool_calls": asked})
    at = calls[0].place if place is None else place
    yield _Given(asking, at)
    for id_, call in numbered:
        yield _Given(_answer(id_, call), at if call.output is None else call.place)


def _answer(id_: str, call: _Call) -> ToolMessage:
    from langchain_core.messages import ToolMessage

    content, failed = (NO_RESULT, True) if call.output is None else call.output[-2:]
    content = content_of(content)
    status: Any = "error" if failed else "success"
    return ToolMessage(content, tool_call_id=id_, name=_name(call), status=status)


def _name(call: _Call) -> str:
    return _NOT_IN_NAMES.sub("_", call.tool)[:64] or "tool"


def _without_calls(message: Any) -> Any:
    """Return a message as any model takes it: models refuse calls that no output follows.

    An answer in content blocks becomes its words. Its reasoning, signatures and item ids are only
    good for the provider that gave them, and there only together, within the turn.
    """
    from langchain_core.messages import AIMessage

    if not isinstance(message, AIMessage):
        return _changed(message, {"content": wellformed_value(message.content)})
    if isinstance(message.content, list):
        return AIMessage(_words_in(str(message.text)))
    kwargs = {k: v for k, v in message.additional_kwargs.items() if k not in _NOT_GIVEN}
    return _changed(
        message,
        {
            "tool_calls": [],
            "invalid_tool_calls": [],
            "additional_kwargs": wellformed_value(kwargs),
            "content": _words_in(message.content),
        },
    )


def _words_in(text: str) -> str:
    return wellformed(text) if text.strip() else ""  # Some servers refuse blanks alone.


def _changed(message: Any, changes: Mapping[str, Any]) -> Any:
    if all(getattr(message, name) == value for name, value in changes.items()):
        return message
    return message.model_copy(update=changes)
