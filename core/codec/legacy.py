"""Upgrades the agent steps and actions that django-pyhub-ai stored. The codec never writes them.

That library tagged the outermost object only and dumped the rest: an `AgentStep` holds its action,
and an action holds its messages, as plain objects. These functions add the missing tags.
"""

from __future__ import annotations

from typing import Any

_MESSAGE_TAGS = {
    "human": "HumanMessage",
    "ai": "AIMessage",
    "AIMessageChunk": "AIMessageChunk",
    "system": "SystemMessage",
    "tool": "ToolMessage",
    "function": "FunctionMessage",
}


def upgrade(tag: str, body: Any) -> Any:
    """The body of an agent's step or action, with a tag for each object in it.

    A body that needs no upgrade is returned unchanged.
    """
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
        # Inside a step, django-pyhub-ai stored the type of the base class, AgentAction.
        return {**body, "type": "AgentActionMessageLog", "message_log": [_tagged(m) for m in log]}
    return body


def without_call_id(body: Any) -> Any:
    """The body of a ToolAgentAction, reduced to that of an AgentActionMessageLog."""
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
