"""Puts one model call's chunks together to the message that the provider gave."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from ...core.sendable import DEEPEST, nests_within, shallow, shallow_blocks, with_new_ids
from ...core.wellformed import wellformed_message, wellformed_value
from .wire import Noted

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, AIMessageChunk

# LangChain looks at these when it adds chunks up.
_FOR_ADDING = ("output_version", "model_provider")


class Reply:
    """One call's answer as it comes in.

    LangChain adds chunks up, and so it doubles what a provider says twice: a model's name becomes
    "gpt-4ogpt-4o", and a count that each chunk repeats a multiple. Here a name, a reason and a
    count are what was said last.
    """

    def __init__(self) -> None:
        self._chunks: list[AIMessageChunk] = []
        self._whole: AIMessage | None = None
        self._metadata: dict[str, Any] = {}
        self._usage: Any = None

    def add(self, chunk: AIMessage) -> None:
        """Take in the next chunk; a model that does not stream gives one whole message instead."""
        from langchain_core.messages import AIMessageChunk

        changes: dict[str, Any] = {}
        if chunk.response_metadata:
            _merge(self._metadata, chunk.response_metadata)
            kept = {k: v for k, v in chunk.response_metadata.items() if k in _FOR_ADDING}
            changes["response_metadata"] = kept
        if chunk.usage_metadata:
            self._usage = added_usage(self._usage, chunk.usage_metadata)
            changes["usage_metadata"] = None
        if not isinstance(chunk, AIMessageChunk):
            self._whole = chunk
            return
        # All chunks are put together once, at the end: adding each to the sum of those before it
        # would take time that grows with the square of the answer.
        self._chunks.append(chunk.model_copy(update=changes) if changes else chunk)

    def message(self, noted: Noted) -> AIMessage | None:
        """Return the whole message, with what only the stream itself said; None if nothing came."""
        message, calls, broken = self._put_together()
        if message is None:
            return None
        kwargs = shallow(message.additional_kwargs)
        if noted.refusal:
            kwargs.setdefault("refusal", noted.refusal)
        if noted.finish_reason:
            self._metadata.setdefault("finish_reason", noted.finish_reason)
        changes: dict[str, Any] = {
            "content": shallow_blocks(message.content),
            "additional_kwargs": kwargs,
            "response_metadata": wellformed_value(shallow(self._metadata)),
            "usage_metadata": self._usage,
            "tool_calls": calls,
            "invalid_tool_calls": broken,
        }
        copy: AIMessage = wellformed_message(message.model_copy(update=changes))
        return copy

    def _put_together(self) -> tuple[AIMessage | None, list[Any], list[Any]]:
        from langchain_core.messages import message_chunk_to_message

        if self._chunks:
            first, *rest = self._chunks
            whole = first + rest if rest else first
            message: Any = message_chunk_to_message(whole)
            return (message, *_calls(whole))
        if self._whole is not None:
            return (self._whole, *_shallow_calls(self._whole))
        return None, [], []


def with_ids(message: AIMessage, number: int, taken: Iterable[str] = ()) -> AIMessage:
    """Return a message whose calls all have ids of their own: some servers give none, or the same
    one twice, and none accepts that.

    `number` is how many calls the turn has made before; `taken` are the ids of earlier messages.
    """
    names = ("tool_calls", "invalid_tool_calls")
    theirs = {call["id"] for name in names for call in getattr(message, name)}
    used = set(taken)
    free = (id_ for id_ in map("call{:05}".format, count(number)) if id_ not in used | theirs)
    ids: defaultdict[str, list[str]] = defaultdict(list)
    changes: dict[str, Any] = {}
    for name in names:
        calls = []
        for call in getattr(message, name):
            old = call["id"] or ""
            new = old if old and old not in used else next(free)
            used.add(new)
            ids[old].append(new)
            calls.append(call if old == new else {**call, "id": new})
        changes[name] = calls
    if all(new == [old] for old, new in ids.items()):
        return message
    return message.model_copy(update={**changes, "content": with_new_ids(message.content, ids)})


def added_usage(sofar: Any, usage: Any) -> Any:
    """Return the usage of a call, after one more chunk that tells of it.

    A prompt is counted once: if two chunks count the same one, the second tells all there is up to
    there (OpenAI-compatible servers, on request with each chunk). Otherwise each tells of a part.
    """
    from langchain_core.messages.ai import add_usage

    if sofar and usage["input_tokens"] and usage["input_tokens"] == sofar["input_tokens"]:
        return usage
    return add_usage(sofar, usage)


def _merge(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        before = known.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            known[name] = {**before}
            _merge(known[name], value)
        elif isinstance(value, list) and isinstance(before, list):
            # Each chunk has more, or each has all of it.
            known[name] = value if value[: len(before)] == before else [*before, *value]
        elif value not in (None, ""):
            known[name] = value


def _calls(whole: AIMessageChunk) -> tuple[list[Any], list[Any]]:
    """Return the tool calls, and those whose input is no JSON object, or nests too deeply to be
    stored.

    LangChain completes an input that was cut off; half a command must not be run.
    """
    good: list[Any] = []
    bad: list[Any] = []
    for part in whole.tool_call_chunks:
        call = {"name": part["name"] or "", "id": part["id"]}
        try:
            args = json.loads(part["args"] or "{}", strict=False)
        except (ValueError, RecursionError):
            args = None
        if isinstance(args, dict) and nests_within(args, DEEPEST):
            good.append({**call, "args": args, "type": "tool_call"})
        else:
            bad.append(_invalid(call, part["args"]))
    return good, bad


def _shallow_calls(message: AIMessage) -> tuple[list[Any], list[Any]]:
    good: list[Any] = []
    bad: list[Any] = [*message.invalid_tool_calls]
    for call in message.tool_calls:
        if nests_within(call["args"], DEEPEST):
            good.append(call)
        else:
            bad.append(_invalid(call, "[An input that nests too deeply.]"))
    return good, bad


def _invalid(call: Mapping[str, Any], args: str | None) -> dict[str, Any]:
    error = f"The input is not a JSON object of at most {DEEPEST} levels."
    return {
        **{"name": call["name"], "id": call["id"], "args": args},
        **{"error": error, "type": "invalid_tool_call"},
    }
