"""OpenAI's Chat Completions, as bytes."""

from __future__ import annotations

from typing import Any

from .server import event

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
DONE = event("[DONE]")


WHOLE = {
    **{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o"},
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "It is noon."},
        }
    ],
    "usage": USAGE,
}
"""An answer in one piece, to a client that does not stream."""


def chunk(delta: Any = None, reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    kind = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    return event({**kind, "model": "gpt-4o", "choices": [choice], **more})


def said(*words: str, reason: str | None = "stop", usage: Any = USAGE) -> list[bytes]:
    end = [chunk({}, reason)] if reason else []
    counted = [chunk(choices=[], usage=usage)] if usage else []
    return [*(chunk({"content": text}) for text in words), *end, *counted, DONE]


def called(
    name: str, args: str = "{}", *, words: str = "", reason: str = "tool_calls"
) -> list[bytes]:
    function = {"name": name, "arguments": args}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    spoken = [chunk({"content": words})] if words else []
    return [*spoken, chunk({"tool_calls": [call]}), chunk({}, reason), DONE]
