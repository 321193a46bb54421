"""The worker's end of the pipe."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from .frames import LENGTH, LONGEST_MESSAGE, LONGEST_PART, pieces_of


class Closed(Exception):
    """The server has closed its end."""


class Pipe:
    """Messages from and to the server, over what were standard input and output."""

    def __init__(self) -> None:
        # Under numbers of their own: what code prints, or reads, does not come near them.
        self._input, self._output = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.close(nothing)

    def receive(self) -> dict[str, Any]:
        """Return the next message. Raises Closed."""
        message: dict[str, Any] = json.loads(self._frame(LONGEST_MESSAGE))
        return message

    def receive_part(self) -> bytes:
        """Return a further frame of the last message. Raises Closed."""
        return self._frame(LONGEST_PART)

    def send(self, message: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
        """Send a message, and the frames that belong to it."""
        text = json.dumps({**message, "parts": [len(part) for part in parts]})
        for piece in pieces_of(text.encode(), *parts):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(self._output, rest) :]

    def _frame(self, longest: int) -> bytes:
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        if length > longest:
            raise Closed
        return self._read(length)

    def _read(self, length: int) -> bytes:
        read = bytearray()
        while len(read) < length:
            piece = os.read(self._input, min(length - len(read), 2**20))
            if not piece:
                raise Closed
            read += piece
        return bytes(read)
