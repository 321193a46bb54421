"""What django-pyhub-ai stored and the codec never writes, made readable.

Its encoder tagged the outermost object only, and dumped what was inside: an `AgentStep` holds its
action, and an action its messages, as plain objects. Here they get the tags they lack. A
`DataFrame` was stored as `to_dict()`: what is back is what that kept, without dtypes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .dispatch import DECODERS, dec
from .fault import Fault, expect

_MESSAGE_TAGS = {
    "human": "HumanMessage",
    "ai": "AIMessage",
    "AIMessageChunk": "AIMessageChunk",
    "system": "SystemMessage",
    "tool": "ToolMessage",
    "function": "FunctionMessage",
}


def upgrade(tag: str, body: Any) -> Any:
    """The body of an agent's step or action with every object inside it tagged; others as is."""
    if type(body) is not dict:
        return body
    if tag == "AgentStep" and _is_untagged(body.get("action")):
        action = body["action"]
        if "tool_call_id" in action:
            inner = "ToolAgentAction"
        elif "message_log" in action:
            inner = "AgentActionMessageLog"
        else:
            inner = "AgentAction"
        return {**body, "action": {"_type": inner, "_value": action}}
    log = body.get("message_log")
    if type(log) is list and any(map(_is_untagged, log)):
        # Stored within a step, its type had been changed to the base class's.
        return {**body, "type": "AgentActionMessageLog", "message_log": [_tagged(m) for m in log]}
    return body


def without_call_id(body: Any) -> Any:
    """A ToolAgentAction's body as an AgentActionMessageLog's."""
    if type(body) is not dict:
        return body
    return {key: item for key, item in body.items() if key != "tool_call_id"}


def _is_untagged(document: Any) -> bool:
    return type(document) is dict and "_type" not in document


def _tagged(message: Any) -> Any:
    if not _is_untagged(message):
        return message
    kind = message.get("type")
    tag = _MESSAGE_TAGS.get(kind) if type(kind) is str else None
    return {"_type": tag, "_value": message} if tag else message


def _decode_frame(body: Any, depth: int) -> Any:
    return _pandas("DataFrame").from_dict(_decode_columns(body, depth))


def _decode_series(body: Any, depth: int) -> Any:
    return _pandas("Series")(_decode_columns(body, depth))


def _decode_columns(body: Any, depth: int) -> Any:
    return dec(expect(body, dict, "the value of a DataFrame"), depth)


def _pandas(name: str) -> Any:
    try:
        return getattr(import_module("pandas"), name)
    except ImportError as exc:
        raise Fault(
            f"reading a {name} needs pandas, which cannot be imported here;"
            " install django-turnlog[analyst]",
            name,
        ) from exc


DECODERS["DataFrame"] = _decode_frame
DECODERS["Series"] = _decode_series
