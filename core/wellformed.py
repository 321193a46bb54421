"""Values as JSON and UTF-8 can carry them: what leaves this process for a model, a page or a file.

Python keeps half a character (a lone surrogate, from JSON's `\\ud83d` or from a file name that is
no UTF-8), NaN and infinities. Encoders, HTTP clients and browsers do not. The log keeps such values
exactly; these functions are for every way out of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_SLICE = 100_000
"""Characters that are looked at at once: no other thread of the process runs meanwhile."""


def wellformed(text: str) -> str:
    """Return the text with adjacent halves of a character joined, and U+FFFD for every other half.

    The same object is returned if nothing has to change.
    """
    if text.isascii() or all(map(_is_whole, slices(text, _SLICE))):
        return text
    return "".join(map(_whole, slices(text, _SLICE)))


def clipped(text: str, longest: int) -> str:
    """Return the beginning of a text, well-formed, with an ellipsis if there is more of it."""
    return wellformed(text if len(text) <= longest else text[:longest] + " …")


def slices(text: str, size: int) -> Iterator[str]:
    """Yield a text in parts of `size` characters, or one more: none of them is cut between the
    halves of a character."""
    start, length = 0, len(text)
    while start < length:
        end = start + size
        if end < length and _PAIR.match(text, end - 1):
            end += 1
        yield text[start:end]
        start = end


def _whole(text: str) -> str:
    return text if _is_whole(text) else _HALF.sub("\ufffd", _PAIR.sub(_joined, text))


def _is_whole(text: str) -> bool:
    try:
        text.encode()  # Five times faster than the pattern.
    except UnicodeEncodeError:
        return False
    return True


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


def wellformed_value(value: Any) -> Any:
    """Return a JSON value, as Python has it, with all its texts and keys well-formed.

    A number that JSON does not have becomes the text that `json.dumps` would write. Other objects
    than dict, list, str and float are left as they are. The same object is returned if nothing has
    to change.
    """
    if isinstance(value, str):
        return wellformed(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _NUMBERS.get(value, "NaN")
    if isinstance(value, list):
        items = [wellformed_value(item) for item in value]
        return items if _differ(items, value) else value
    if isinstance(value, dict):
        pairs = {wellformed_value(key): wellformed_value(item) for key, item in value.items()}
        same = not _differ(pairs, value) and not _differ(pairs.values(), value.values())
        return value if same else pairs
    return value


def wellformed_message(message: Any) -> Any:
    """Return a LangChain message whose parts can all be sent; the same one if it can be."""
    changes = {}
    for name in ("content", "name", "additional_kwargs", "tool_calls", "invalid_tool_calls"):
        value = getattr(message, name, None)
        changed = wellformed_value(value)
        if changed is not value:
            changes[name] = changed
    return message.model_copy(update=changes) if changes else message


_NUMBERS = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _differ(ours: Any, theirs: Any) -> bool:
    return len(ours) != len(theirs) or any(a is not b for a, b in zip(ours, theirs, strict=True))


class TextStream:
    """A text that comes in pieces: a piece may end in the middle of a character."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        """Return what can be shown of the text now; half a character waits for the next piece."""
        piece = self._half + piece
        self._half = ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        return wellformed(piece)

    def end(self) -> str:
        """Return what still waits."""
        half, self._half = self._half, ""
        return wellformed(half)
