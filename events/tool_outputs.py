"""Turns the tool outputs that the completion hook gets into events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..core import codec
from ..core.errors import ArgumentError, CodecError
from ..core.wellformed import wellformed
from .types import ToolOutputRecorded


def tool_outputs(items: Sequence[Any] | None) -> list[ToolOutputRecorded]:
    """Return one event for each item of a `tools_output_list`.

    An item is a mapping with `tool`, `output` and optionally `tool_call_id`, `input`, `status`,
    `duration`, `text` (as turnlog's agent gives it); a LangChain ToolMessage; or any other mapping,
    such as an agent executor's `{"actions": ...}` and `{"steps": ...}`, which is kept whole as the
    output. Raises CodecError for any other item, and ArgumentError if `items` is not a list.
    """
    if items is not None and not isinstance(items, list | tuple):
        raise ArgumentError("tools_output_list", "a list, or None", items)
    return [_tool_output(number, item) for number, item in enumerate(items or ())]


def _tool_output(number: int, item: Any) -> ToolOutputRecorded:
    if isinstance(item, Mapping) and isinstance(item.get("tool"), str) and "output" in item:
        return ToolOutputRecorded(
            tool=wellformed(item["tool"]),
            tool_call_id=_id(item.get("tool_call_id")),
            input=codec.encode(item.get("input")),
            output=codec.encode(item["output"]),
            status="error" if item.get("status") == "error" else "ok",
            duration=_seconds(item.get("duration")),
            text=codec.encode(item.get("text")),
        )
    if isinstance(item, Mapping):
        return ToolOutputRecorded(
            tool=_name_in_steps(item),
            tool_call_id=None,
            input=None,
            output=codec.encode(item),
        )
    if getattr(item, "type", None) == "tool" and hasattr(item, "tool_call_id"):
        return ToolOutputRecorded(
            tool=wellformed(item.name or ""),
            tool_call_id=_id(item.tool_call_id),
            input=None,
            output=codec.encode(item),
            status="error" if item.status == "error" else "ok",
        )
    raise CodecError(
        f"tools_output_list[{number}]: expected a mapping or a ToolMessage, found"
        f" {type(item).__name__}",
        path=f"$[{number}]",
        type_name=type(item).__name__,
    )


def _id(given: Any) -> str | None:
    return None if given is None else wellformed(str(given))


def _seconds(given: Any) -> float | None:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return given if is_number and math.isfinite(given) else None


def _name_in_steps(item: Mapping[str, Any]) -> str:
    """Return the tool's name in an agent executor's chunk, for people who read the log."""
    for step in item.get("steps") or item.get("actions") or ():
        name = getattr(getattr(step, "action", step), "tool", None)
        if isinstance(name, str):
            return wellformed(name)
    return ""
