"""OpenAI's Responses API, as bytes."""

from __future__ import annotations

from typing import Any

from .server import event

USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 16,
}


def sent(kind: str, **body: Any) -> bytes:
    return event({"type": kind, "sequence_number": 1, **body}, kind)


def response(status: str, output: list[Any], **more: Any) -> dict[str, Any]:
    fixed = {
        **{"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-6-sol"},
        **{"error": None, "incomplete_details": None, "instructions": None, "metadata": {}},
        **{"parallel_tool_calls": True, "temperature": 1, "tool_choice": "auto", "tools": []},
        **{"top_p": 1, "text": {"format": {"type": "text"}}},
    }
    counted = None if status == "in_progress" else USAGE
    return {**fixed, "status": status, "output": output, "usage": counted, **more}


def begun() -> bytes:
    return sent("response.created", response=response("in_progress", []))


def item(index: int, whole: dict[str, Any], first: dict[str, Any], *between: bytes) -> list[bytes]:
    added = sent("response.output_item.added", output_index=index, item=first)
    return [added, *between, sent("response.output_item.done", output_index=index, item=whole)]


def message(index: int, *words: str) -> tuple[dict[str, Any], list[bytes]]:
    part = {"type": "output_text", "text": "".join(words), "annotations": [], "logprobs": []}
    whole = {"id": f"msg_{index}", "type": "message", "role": "assistant", "status": "completed"}
    place = {"item_id": f"msg_{index}", "output_index": index, "content_index": 0}
    pieces = [
        sent("response.output_text.delta", **place, delta=text, logprobs=[]) for text in words
    ]
    done = sent("response.output_text.done", **place, text=part["text"], logprobs=[])
    complete = {**whole, "content": [part]}
    return complete, item(index, complete, {**whole, "content": []}, *pieces, done)


def thought(index: int, text: str) -> tuple[dict[str, Any], list[bytes]]:
    summary = [{"type": "summary_text", "text": text}]
    whole = {
        "id": f"rs_{index}",
        "type": "reasoning",
        "summary": summary,
        "encrypted_content": "c2l",
    }
    place = {"item_id": f"rs_{index}", "output_index": index, "summary_index": 0}
    part = {"type": "summary_text", "text": ""}
    return whole, item(
        index,
        whole,
        {**whole, "summary": []},
        sent("response.reasoning_summary_part.added", **place, part=part),
        sent("response.reasoning_summary_text.delta", **place, delta=text),
    )


def call(index: int, name: str, args: str) -> tuple[dict[str, Any], list[bytes]]:
    whole = {"id": f"fc_{index}", "type": "function_call", "status": "completed"}
    whole |= {"name": name, "arguments": args, "call_id": f"call_{index}"}
    delta = sent(
        "response.function_call_arguments.delta",
        item_id=f"fc_{index}",
        output_index=index,
        delta=args,
    )
    return whole, item(index, whole, {**whole, "arguments": ""}, delta)


def answer(*items: tuple[dict[str, Any], list[bytes]], **ended: Any) -> list[bytes]:
    """The whole stream of some items, of which `ended` says how the response ended."""
    status = ended.get("status", "completed")
    kind = "response.incomplete" if status == "incomplete" else "response.completed"
    output = [whole for whole, _ in items]
    end = sent(kind, response=response(**{"status": status, "output": output, **ended}))
    return [begun(), *(piece for _, pieces in items for piece in pieces), end]
