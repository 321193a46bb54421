"""How much of a turn's tool calls is shown: it waits in memory for a client that does not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...core.wellformed import clipped

LONGEST = 20_000
"""Characters of one input or output that are shown at most."""
MOST = 40_000
"""Characters of all of a turn's, after which each one shows only its beginning."""
LEAST = 500
THOUGHTS, THOUGHTS_APART = 40_000, 100
"""Characters of all that the model thinks in a turn that are shown, and in how many places."""
PICTURES = 1_000_000
"""Bytes of all of a turn's pictures that are shown."""


class Room:
    """One turn's room. It is used in the order of the calls, so that a reload shows the same."""

    def __init__(self) -> None:
        self._left = MOST
        self._pictures = PICTURES
        self._thoughts, self._apart = THOUGHTS, THOUGHTS_APART

    def clipped(self, text: str) -> str:
        """Return as much of a text as there is room for."""
        longest = max(LEAST, min(LONGEST, self._left))
        self._left -= min(len(text), longest)
        return clipped(text, longest)

    def thought(self, text: str, *, goes_on: bool = False) -> str:
        """Return as much of what a model thinks, or of the next part of it, as there is room for;
        nothing once an ellipsis has told that there is more."""
        left = self._thoughts
        self._apart -= not goes_on
        self._thoughts = max(left - len(text), -1)
        if left < 0 or self._apart < 0:
            return ""
        return clipped(text, left)

    def rows(self, rows: Iterable[Sequence[str]]) -> Iterator[Sequence[str]]:
        """Yield as many rows of a table as there is room for, and one at least."""
        longest = max(LEAST, min(LONGEST, self._left))
        for row in rows:
            yield row
            size = sum(map(len, row))
            self._left, longest = max(self._left - size, 0), longest - size
            if longest <= 0:
                return

    def has_picture(self, size: int) -> bool:
        """Return whether there is room for a picture of so many bytes; it is taken."""
        fits = size <= self._pictures
        self._pictures -= size if fits else 0
        return fits
