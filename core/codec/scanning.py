"""Where the strings of a JSON text are, found without reading it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from ..errors import CodecError

_STRETCH = 100_000


@cache
def _short(longest: int) -> re.Pattern[str]:
    """What is between strings, and strings that are shorter: many at a time, yet not for long."""
    part = min(longest, 4000) // 8
    string = rf'|"(?:[^"\\]{{1,{part}}}+|\\.){{0,8}}+"' if part > 1 else ""
    return re.compile(rf'(?:[^"]{{1,1000}}{string}){{1,500}}+')


def long_strings(text: str, longest: int) -> Iterator[tuple[int, int]]:
    """Yield where the strings begin and end, with their quotes, that are longer than `longest` in
    the JSON text; keys of objects are left out. Raises CodecError if a string does not end."""
    short, place = _short(longest), 0
    while place < len(text):
        if found := short.match(text, place):
            place = found.end()
            continue
        end = end_of_string(text, place)
        if end - place - 2 > longest and text[end : end + 1] != ":":
            yield place, end
        place = end


def end_of_string(text: str, start: int) -> int:
    """The end of the string that begins at `start`. Raises CodecError if it has none."""
    place, stretch = start + 1, 100
    while part := text[place : place + stretch]:
        if (len(part) - len(part.rstrip("\\"))) % 2:
            part += text[place + stretch : place + stretch + 1]  # What the last backslash escapes.
        # Not by looking at each quote: a text may consist of them.
        plain = part.replace("\\\\", "__").replace('\\"', "__")
        if (found := plain.find('"')) >= 0:
            return place + found + 1
        place += len(part)
        stretch = min(8 * stretch, _STRETCH)
    raise CodecError("not strict JSON: a string does not end")
