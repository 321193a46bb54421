"""Any value as text, also one whose own text fails: a date that its time zone moves past 9999."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def text_of(value: Any) -> str:
    """Return what `str` gives; where that raises, a short text that stands for the value.

    For pandas' Timestamp it is the moment in UTC, as ISO 8601 has it.
    """
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - any class may be stored: one value must not end a page
        with suppress(Exception):
            return f"{value.asm8}" + ("" if value.tzinfo is None else "Z")
        return f"<{type(value).__name__}>"
