"""A server that looks closely at what it is sent."""

from __future__ import annotations

import json
import re
from typing import Any

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_BLOCKS = ("text", "image_url", "image", "tool_use", "tool_result", "document", "search_result")


def faults(messages: list[dict[str, Any]]) -> list[str]:
    """Why OpenAI's or Anthropic's server would refuse these messages of a request."""
    found: list[str] = []
    known: set[str] = set()
    waiting: list[str] = []
    for message in messages:
        role, content = message["role"], message.get("content")
        uses, results = _uses(message), _results(message)
        for id_ in results:
            if id_ not in waiting:
                found.append(f"a stray result of {id_!r:.40}")
            else:
                waiting.remove(id_)
        if role != "tool" and waiting:
            found.append(f"no result of {waiting!r:.40}")
        for id_, name, args in uses:
            if not isinstance(id_, str) or not id_ or id_ in known:
                found.append(f"the id {id_!r:.40}")
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                found.append(f"the name {name!r:.40}")
            if not isinstance(args, dict):
                found.append(f"the input {args!r:.40}")
            known.add(id_)
            waiting.append(id_)
        found += [f"the block {block!r:.60}" for block in _blocks(content) if not _is_block(block)]
        json.dumps(message, allow_nan=False).encode()
    return [*found, *(f"no result of {id_!r:.40}" for id_ in waiting)]


def _uses(message: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    calls = [
        (call["id"], call["function"]["name"], _parsed(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
    return calls + [
        (block.get("id"), block.get("name"), block.get("input"))
        for block in _blocks(message.get("content"))
        if isinstance(block, dict) and block.get("type") == "tool_use"
    ]


def _results(message: dict[str, Any]) -> list[Any]:
    if message["role"] == "tool":
        return [message["tool_call_id"]]
    blocks = [block for block in _blocks(message.get("content")) if isinstance(block, dict)]
    return [block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"]


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return text


def _blocks(content: Any) -> list[Any]:
    return content if isinstance(content, list) else []


def _is_block(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") not in _BLOCKS:
        return False
    if block["type"] == "text":
        return isinstance(block.get("text"), str)
    if block["type"] == "image_url":
        return isinstance(block["image_url"], dict) and isinstance(block["image_url"]["url"], str)
    return all(map(_is_block, _blocks(block.get("content"))))
