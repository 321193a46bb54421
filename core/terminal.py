"""Prepares text for a terminal: other people's words, and counts."""

from __future__ import annotations

import re

# What could move the cursor, change colours, titles or the clipboard, or reverse the text's order:
# control characters (C0 and C1), marks and overrides of direction, other line ends, and lone
# surrogates, which cannot be written at all.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def safe(text: str) -> str:
    """Text that cannot control a terminal: unsafe characters become their numbers, as `\\x1b`."""
    return _UNSAFE.sub(_shown, text.replace("\r\n", "\n")).expandtabs(4)


def counted(count: int, noun: str) -> str:
    """`1 event`, `2 events`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _shown(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
