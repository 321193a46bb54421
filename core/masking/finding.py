"""Where a text holds personal data: by patterns, the project's patterns, and its function."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from .. import conf
from .folding import folded
from .found import Found
from .numbers import numbers_in
from .words import addresses_in, emails_in, secrets_in

logger = logging.getLogger("turnlog")

_SLICE = 100_000
"""Characters that are looked at at once: no other thread of the process runs meanwhile."""

_ROUNDS = 4
"""How often the rest of a text is looked at: without what is found, it may look otherwise."""

_NUMBERS = frozenset({"phone", "card", "rrn"})
_WORDS: Mapping[str, Callable[[str], Iterator[Found]]] = {
    "email": emails_in,
    "ip": addresses_in,
}


class FinderFailed(Exception):
    """The project's function raised, or returned something that is no place in the text."""


def find(text: str) -> list[Found]:
    """Return the personal data in a text: places that do not overlap, in order.

    Raises FinderFailed, ConfigurationError.
    """
    where = folded(text)
    found: list[Found] = []
    rest = where.text
    for _round in range(_ROUNDS):
        more = _apart(list(_in_text(rest)))
        if not more:
            break
        found += more
        rest = _blanked(rest, more)
    placed = []
    for each in found:
        start, end = where.original(each.start, each.end)
        placed.append(each._replace(start=start, end=end))
    return _apart([*placed, *_of_project(text)])


def _in_text(text: str) -> Iterator[Found]:
    """Yield what the patterns find in a folded text."""
    kinds = conf.get().masked_kinds
    for start, part in _slices(text):
        for each in _in_part(part, kinds):
            yield each._replace(start=each.start + start, end=each.end + start)
    if "secret" in kinds:
        yield from secrets_in(text)
    for kind, pattern in _patterns().items():
        for match in pattern.finditer(text):
            if match.end() > match.start():
                value = " ".join(match[0].casefold().split())
                yield Found(match.start(), match.end(), kind, value)


def _blanked(text: str, found: Iterable[Found]) -> str:
    """Return a text of the same length with brackets for what was found, as placeholders have."""
    parts, place = [], 0
    for each in found:
        parts += [text[place : each.start], "[" * (each.end - each.start - 1), "]"]
        place = each.end
    return "".join([*parts, text[place:]])


def _in_part(part: str, kinds: Iterable[str]) -> Iterator[Found]:
    for kind, finder in _WORDS.items():
        if kind in kinds:
            yield from finder(part)
    if not _NUMBERS.isdisjoint(kinds):
        yield from (each for each in numbers_in(part) if each.kind in kinds)


def _slices(text: str) -> Iterator[tuple[int, str]]:
    """Yield a text in parts that end with a line; only a key may go over the end of one."""
    start = 0
    while start < len(text):
        line = text.find("\n", start + _SLICE)
        end = len(text) if line < 0 else line + 1
        yield start, text[start:end]
        start = end


@cache
def _compiled(patterns: tuple[tuple[str, str], ...]) -> Mapping[str, re.Pattern[str]]:
    return {kind: re.compile(pattern) for kind, pattern in patterns}


def _patterns() -> Mapping[str, re.Pattern[str]]:
    return _compiled(tuple(conf.get().masked_patterns.items()))


def _of_project(text: str) -> Iterator[Found]:
    function = conf.function("FIND_PERSONAL_DATA")
    if function is None:
        return
    try:
        for start, end, kind in function(text):
            yield _checked(text, start, end, kind)
    except Exception as error:  # noqa: BLE001 - whatever the project's function raises
        # Without the error's text: it may quote what somebody said.
        what = type(error).__name__
        logger.error("TURNLOG['FIND_PERSONAL_DATA'] failed: a text is masked entirely: %s", what)
        raise FinderFailed from None


def _checked(text: str, start: Any, end: Any, kind: Any) -> Found:
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise ValueError("no place in the text")
    if not isinstance(kind, str) or not conf.MASKED_KIND.fullmatch(kind):
        raise ValueError("no kind")
    return Found(start, end, kind, " ".join(text[start:end].casefold().split()))


def _apart(found: list[Found]) -> list[Found]:
    """Return places that do not overlap: what overlaps is one place, called after its longest."""
    found.sort(key=lambda each: (each.start, -each.end))
    apart: list[Found] = []
    for each in found:
        if not apart or each.start >= apart[-1].end:
            apart.append(each)
            continue
        last = apart[-1]
        longer = each if each.end - each.start > last.end - last.start else last
        apart[-1] = longer._replace(start=last.start, end=max(last.end, each.end))
    return apart
