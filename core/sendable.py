"""Messages as a model's server takes them back.

A model may call a tool by any name and with any input, and a tool may return anything. A server
refuses a whole request for one odd name, input or content block in it. The log keeps what was said;
these functions are for the way to a server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain
from operator import is_
from typing import Any

from .codec import MAX_DEPTH
from .content_blocks import content_of, type_of

UNKNOWN_TOOL = "unknown_tool"
"""What a tool is called that no server would accept by its name."""

DEEPEST = MAX_DEPTH - 20
"""How deep a call's input may nest: the log can store it, within what an event has around it."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# The blocks in which providers repeat a message's calls: their id, and their input.
_CALL_BLOCKS = {
    "tool_use": ("id", "input"),
    "function_call": ("call_id", "arguments"),
    "tool_call": ("id", "args"),
}


def nests_within(value: Any, levels: int) -> bool:
    """Return whether a JSON value nests at most so many levels deep."""
    layer = [value]
    for _level in range(levels + 1):
        layer = [item for one in layer for item in _items(one)]
        if not layer:
            return True
    return False


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def shallow(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a message's values that do not nest too deeply to be stored."""
    return {name: value for name, value in values.items() if nests_within(value, DEEPEST)}


def shallow_blocks(blocks: Any) -> Any:
    """Return a message's content without what nests too deeply to be stored."""
    if isinstance(blocks, str) or nests_within(blocks, DEEPEST):
        return blocks
    return [shallow(block) if isinstance(block, dict) else block for block in blocks]


def ids_of(messages: Iterable[Any]) -> Iterator[str]:
    """Yield the ids of all calls in some messages."""
    for message in messages:
        for call in chain(
            getattr(message, "tool_calls", ()), getattr(message, "invalid_tool_calls", ())
        ):
            yield call["id"] or ""


def with_new_ids(content: Any, ids: Mapping[str, list[str]]) -> Any:
    """Return a message's content with other ids for its calls: `ids` has them by the ids that they
    have, in order."""
    if not isinstance(content, list):
        return content
    left = {old: iter(new) for old, new in ids.items()}
    blocks = []
    for block in content:
        key, _input = _CALL_BLOCKS.get(type_of(block), ("", ""))
        if key and (new := next(left.get(block.get(key) or "", iter(())), None)):
            block = {**block, key: new} if block.get(key) != new else block
        blocks.append(block)
    return blocks


def sendable(message: Any, tools: Container[str]) -> Any:
    """Return a LangChain message as a server takes it; the same one if it is one already.

    `tools` are the names that the model was offered: its server accepts them, whatever they are.
    """
    from langchain_core.messages import AIMessage, ToolMessage

    changes: dict[str, Any] = {}
    if isinstance(message, AIMessage):
        changes = _of_answer(message, tools)
    elif isinstance(message, ToolMessage):
        name = message.name
        changes = {"name": name if name is None else _name(name, tools)}
        changes["content"] = content_of(message.content)
    changes = {k: v for k, v in changes.items() if v is not getattr(message, k)}
    return message.model_copy(update=changes) if changes else message


def _of_answer(message: Any, tools: Container[str]) -> dict[str, Any]:
    good, bad = message.tool_calls, message.invalid_tool_calls
    calls = [_call(call, call["args"], tools) for call in good]
    odd = {ours["id"] for ours, call in zip(calls, good, strict=True) if ours is not call}
    calls += [_call({**call, "type": "tool_call"}, {}, tools) for call in bad]
    odd |= {call["id"] for call in bad}
    content = message.content
    if isinstance(content, str):
        return _changed_calls(calls, odd) | {"content": content if content.strip() else ""}
    known = {call["id"]: call for call in calls}
    blocks = [kept for block in content if (kept := _block(block, known, odd)) is not None]
    same = len(blocks) == len(content) and all(map(is_, blocks, content))
    return _changed_calls(calls, odd) | {"content": content if same else blocks}


def _changed_calls(calls: list[Any], odd: set[Any]) -> dict[str, Any]:
    return {"tool_calls": calls, "invalid_tool_calls": []} if odd else {}


def _call(call: Any, args: Any, tools: Container[str]) -> Any:
    name = _name(call["name"], tools)
    if call["name"] == name and call["args"] is args:
        return call
    return {"name": name, "args": args, "id": call["id"], "type": "tool_call"}


def _block(block: Any, calls: Mapping[str, Any], odd: Container[str]) -> Any:
    """Return a block of a model's message; None if no server would take it."""
    kind = type_of(block)
    if kind == "text" and not isinstance(block.get("text"), str):
        return None
    if kind not in _CALL_BLOCKS:
        return block
    key, input_ = _CALL_BLOCKS[kind]
    call = calls.get(block.get(key))
    if call is None:
        return None
    if call["id"] not in odd:
        return block
    args = json.dumps(call["args"]) if kind == "function_call" else call["args"]
    rest = {name: value for name, value in block.items() if name != "partial_json"}
    return {**rest, "name": call["name"], input_: args}


def _name(name: Any, tools: Container[str]) -> str:
    name = name or ""
    return name if _NAME.fullmatch(name) or (name and name in tools) else UNKNOWN_TOOL


def names_of(schemas: Iterable[Any]) -> set[Any]:
    """Return the names of tools, or of their schemas."""
    names = set()
    for schema in schemas:
        if isinstance(schema, Mapping):
            names.add((schema.get("function") or schema).get("name"))
        else:
            names.add(getattr(schema, "name", None))
    return names
