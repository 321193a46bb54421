"""How HTML that is on a page becomes longer HTML, with few bytes.

Most of the time a growing answer has only gained words at its end: then these words are added to
the element that they belong to. If more has changed, the last elements are dropped and written
again: as few as possible.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..markdown.raw import closings

# With the line break that may follow it: the renderer writes one after what holds words.
_TAG = re.compile(r'<(/?)([a-z][a-z0-9]*)(?:"[^"]*"|[^">])*>(\n?)')
_VOID = {"br", "hr", "input"}
# A browser drops these tags if they are not within a table. Whole rows can be added: see `is_rows`.
_OF_A_TABLE = {"thead", "tbody", "th", "td"}
# About what it takes to name an element that is dropped.
_COST_OF_A_DROP = 100


@dataclass(frozen=True, slots=True)
class Growth:
    """Drop the last `drop` children of an element, then add `html` to it.

    With a child goes the line break behind it.

    The element: the last child, `depth` times over, of the element that holds everything.
    """

    depth: int
    drop: int
    html: str


@dataclass(slots=True)
class _Open:
    """An element that is open at the end of the HTML."""

    end: int
    """Where its last child ends, or its own content begins."""
    starts: list[int]
    """Where its last children begin, as far as there is no text between them or before the end."""


@functools.lru_cache(maxsize=32)  # Those who follow a turn have mostly seen the same of it.
def growth(old: str, new: str) -> tuple[Growth, ...]:
    """Return how the old HTML becomes the new one, in steps; nothing if they are equal.

    At their outermost level both have only elements. Both are as the sanitiser writes them.
    """
    had, wanted = _elements(old), _elements(new)
    same = next((i for i, (a, b) in enumerate(zip(had, wanted, strict=False)) if a != b), None)
    if same is None:
        same = min(len(had), len(wanted))
    changed, written = had[same:], wanted[same:]
    if len(changed) == 1 and written:
        # The open block is finished by itself: what follows it would have it written anew.
        steps = (min(_ways(changed[0], written.pop(0)), key=_cost),)
        return (*steps, Growth(0, 0, "".join(written))) if written else steps
    if changed or written:
        return (Growth(0, len(changed), "".join(written)),)
    return ()


def _elements(html: str) -> list[str]:
    """Return the outermost elements."""
    starts, depth = [], 0
    for tag in _TAG.finditer(html):
        if depth == 0:
            starts.append(tag.start())
        if tag[2] not in _VOID:
            depth += -1 if tag[1] else 1
    return [html[a:b] for a, b in pairwise([*starts, len(html)])]


def _ways(old: str, new: str) -> Iterator[Growth]:
    """Yield for each depth the way that keeps the most."""
    ends = closings(old)
    for depth, here in enumerate(_open_elements(old, ends)):
        after = len(old) if depth == 0 else ends[len(ends) - depth]
        rest = old[after:]
        places = [after, *reversed(here.starts)] if here.end == after else [after]
        for drop, place in enumerate(places):
            fits = len(new) >= place + len(rest) and new.endswith(rest)
            added = new[place : len(new) - len(rest)]
            if fits and new.startswith(old[:place]) and _can_be_added(added, drop):
                yield Growth(depth, drop, added)
                break


def _cost(change: Growth) -> int:
    return len(change.html) + change.drop * _COST_OF_A_DROP


def _open_elements(html: str, ends: Sequence[int]) -> list[_Open]:
    """Return what the closing tags at the end close, from the outside: first what holds all."""
    chain = [_Open(0, [])]
    for tag in _TAG.finditer(html, 0, ends[0] if ends else len(html)):
        if tag[1]:
            chain.pop()
            chain[-1].end = tag.end()
            continue
        parent = chain[-1]
        if tag.start() != parent.end:
            parent.starts.clear()
        parent.starts.append(tag.start())
        if tag[2] in _VOID:
            parent.end = tag.end()
        else:
            chain.append(_Open(tag.end(), []))
    for parent, end in zip(reversed(chain[:-1]), [*ends[1:], len(html)], strict=False):
        parent.end = end
    return chain


def is_rows(html: str) -> bool:
    """Return whether what is added are rows of a table; only a <tbody> may hold them."""
    return html.startswith("<tr")


def _can_be_added(html: str, drop: int) -> bool:
    """Return whether the HTML is whole elements and text that can be sent for themselves."""
    depth = 0
    for tag in _TAG.finditer(html):
        if tag[1]:
            depth -= 1
        elif tag[2] not in _VOID:
            # Dropped rows would stand in front of the <tbody>, and a browser then ignores it.
            if depth == 0 and (tag[2] in _OF_A_TABLE or (tag[2] == "tr" and drop)):
                return False
            depth += 1
        if depth < 0:
            return False
    return depth == 0
