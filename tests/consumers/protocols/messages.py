"""Anthropic's Messages API, as bytes."""

from __future__ import annotations

from typing import Any

from .server import event

Block = tuple[dict[str, Any], list[dict[str, Any]]]


def sent(kind: str, **body: Any) -> bytes:
    return event({"type": kind, **body}, kind)


def text(*words: str) -> Block:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in words]


def thinking(words: str, signature: str = "c2lnbmF0dXJl") -> Block:
    return {"type": "thinking", "thinking": "", "signature": ""}, [
        {"type": "thinking_delta", "thinking": words},
        {"type": "signature_delta", "signature": signature},
    ]


def call(name: str, args: str = "{}", id_: str = "toolu_1") -> Block:
    block = {"type": "tool_use", "id": id_, "name": name, "input": {}}
    return block, [{"type": "input_json_delta", "partial_json": args}]


def answer(*blocks: Block, reason: str | None = "end_turn") -> list[bytes]:
    """The whole stream of some blocks; without a reason, it is cut off behind them."""
    usage = {"input_tokens": 11, "output_tokens": 1}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    head |= {"model": "claude", "stop_reason": None, "stop_sequence": None, "usage": usage}
    parts = [sent("message_start", message=head)]
    for index, (block, deltas) in enumerate(blocks):
        parts.append(sent("content_block_start", index=index, content_block=block))
        parts += [sent("content_block_delta", index=index, delta=delta) for delta in deltas]
        parts.append(sent("content_block_stop", index=index))
    if reason:
        ended = {"stop_reason": reason, "stop_sequence": None}
        parts.append(
            sent("message_delta", delta=ended, usage={"input_tokens": 11, "output_tokens": 9})
        )
        parts.append(sent("message_stop"))
    return parts
