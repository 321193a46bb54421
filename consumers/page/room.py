"""How much of a turn's tool calls is shown: it waits in memory for a client that does not read."""

from __future__ import annotations

from ...core.wellformed import clipped

LONGEST = 20_000
"""Characters of one input or output that are shown at most."""
MOST = 40_000
"""Characters of all of a turn's, after which each one shows only its beginning."""
LEAST = 500


class Room:
    """One turn's room. It is used in the order of the calls, so that a reload shows the same."""

    def __init__(self) -> None:
        self._left = MOST

    def clipped(self, text: str) -> str:
        """Return as much of a text as there is room for."""
        longest = max(LEAST, min(LONGEST, self._left))
        self._left -= min(len(text), longest)
        return clipped(text, longest)
