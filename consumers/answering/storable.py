"""What can be kept of a turn that holds something that the log cannot store exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...core import codec
from ...core.errors import CodecError
from ...events.rounds import FailedCall


def storable(
    message: Any, outputs: Sequence[Mapping[str, Any]], rounds: Sequence[Any]
) -> dict[str, Any]:
    """Return a turn's parts as arguments of `fail_turn`, without what cannot be stored.

    Of a message, its words, calls and usage remain, and each value beside them that can be stored.
    Of a tool's output that cannot be stored, its name, its input and the reason remain. This takes
    time for a large turn: call it in a thread.
    """
    return {
        "ai_message": None if message is None else storable_message(message),
        "tools_output_list": [storable_output(output) for output in outputs] or None,
        "rounds": [_storable_round(one) for one in rounds] or None,
    }


def _storable_round(one: Any) -> Any:
    if not isinstance(one, FailedCall) or one.message is None:
        return one if isinstance(one, FailedCall) else storable_message(one)
    return replace(one, message=storable_message(one.message))


def storable_message(message: Any) -> Any:
    """Return a message without the values beside its words that cannot be stored."""
    if _fault(message) is None:
        return message
    changes: dict[str, Any] = {
        name: {key: value for key, value in getattr(message, name).items() if not _fault(value)}
        for name in ("additional_kwargs", "response_metadata")
    }
    if _fault(message.content):
        changes["content"] = str(message.text)
    return message.model_copy(update=changes)


def storable_output(output: Mapping[str, Any]) -> Any:
    """Return a tool's output; the reason stands in for a value that cannot be stored."""
    changes: dict[str, Any] = {}
    for name in ("input", "output", "text"):
        if fault := _fault(output.get(name)):
            changes[name] = None
            if output.get("text") is None or name == "text":
                changes["text"] = f"This cannot be kept: {fault}"
    return {**output, **changes, "status": "error"} if changes else output


def _fault(value: Any) -> str | None:
    try:
        codec.encode(value)
    except CodecError as error:
        return str(error)
    return None
