"""What the code prints: kept up to a bound, whatever it is."""

from __future__ import annotations

import io


class Printed(io.TextIOBase):
    """Takes the place of standard output and standard error while code runs."""

    def __init__(self, most: int) -> None:
        self._most, self._rest = most, most
        self._pieces: list[str] = []
        self.is_cut = False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Keep as much of a text as there is room for."""
        text = str(text)
        if self._rest > 0:
            self._pieces.append(text[: self._rest])
        self.is_cut |= len(text) > self._rest
        self._rest -= min(len(text), self._rest)
        return len(text)

    def text(self) -> str:
        """Return what was printed."""
        return "".join(self._pieces)
