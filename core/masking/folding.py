"""A text as detectors compare it: other digits, dashes and spaces as ASCII, nothing invisible."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\u30fc\uff70\u2027\u00b7\u30fb"
_SPACES = "\u00a0\u1680\u202f\u205f\u3000\t" + "".join(map(chr, range(0x2000, 0x200B)))
# Zero width: soft hyphen, joiners, marks of direction, variation selectors and the like.
_INVISIBLE = (
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *(*range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F)),
    *(*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0080)),
)


class Folded(NamedTuple):
    """A folded text, and for each of its characters the place in the original; None: the same."""

    text: str
    places: Sequence[int] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return where a part of the folded text is in the original."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1


def folded(text: str) -> Folded:
    """Return the form of a text that is looked at. Takes time in proportion to its length."""
    table = _table()
    if text.isascii():
        return Folded(text.replace("\t", " "), None)
    found = text.translate(table)
    if len(found) == len(text):
        return Folded(found, None)
    places = [place for place, sign in enumerate(text) if table.get(ord(sign), "") is not None]
    return Folded(found, places)


@cache
def _table() -> dict[int, str | None]:
    table: dict[int, str | None] = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    table |= {code: str(int(chr(code))) for code in range(128, 0x10000) if chr(code).isdecimal()}
    table |= {code: str(int(chr(code))) for code in range(0x1D7CE, 0x1D800)}
    table |= dict.fromkeys(map(ord, _DASHES), "-")
    table |= dict.fromkeys(map(ord, _SPACES), " ")
    table |= {0xFE6B: "@", 0xFF61: ".", 0x3002: ".", 0xFE52: ".", 0xFF0B: "+", 0x2024: "."}
    table |= dict.fromkeys(_INVISIBLE)
    return table
