"""Text that JSON would change.

JSON may write a character beyond the basic plane as a surrogate pair (RFC 8259, section 7), so a
reader joins an escaped high surrogate and the low surrogate after it. A Python str can hold the two
as separate code points. The codec cuts such a str between them and stores the pieces.
"""

from __future__ import annotations

import re
from typing import Any

from ..wellformed import slices
from .fault import Fault, expect

SURROGATE = re.compile("[\ud800-\udfff]")
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_BETWEEN = re.compile("(?<=[\ud800-\udbff])(?=[\udc00-\udfff])")


_SLICE = 1_000_000
"""Characters that are looked at at once: no other thread of the process runs meanwhile."""


def survives_json(text: str) -> bool:
    """Whether JSON returns `text` unchanged."""
    if text.isascii():
        return True
    return all(map(_survives, slices(text, _SLICE) if len(text) > _SLICE else (text,)))


def _survives(text: str) -> bool:
    try:
        # Five times faster than the pattern, and nearly always enough.
        text.encode()
    except UnicodeEncodeError:
        return PAIR.search(text) is None
    return True


def encode_text(text: str) -> Any:
    """The document of `text`: the text itself, or a tagged str of its pieces."""
    if survives_json(text):
        return text
    return {"_type": "str", "_value": _BETWEEN.split(text)}


def decode_text(body: Any, depth: int) -> str:
    """The pieces of a tagged str, joined."""
    for piece in expect(body, list, "the value of a str"):
        if type(piece) is not str:
            raise Fault("the pieces of a str must be str")
    return "".join(body)
