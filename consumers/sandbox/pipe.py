"""The server's end of the pipe to a worker: what comes is hostile, and may never come.

Every wait ends at a moment that the caller names, and every length is checked before it is read.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Sequence
from typing import Any

from .inside.frames import LENGTH, pieces_of


class Broken(Exception):
    """The worker ended, or what came from it is no message."""


class Late(Exception):
    """The worker has not answered in time."""


class Pipe:
    """Messages to and from one worker."""

    def __init__(self, into: int, out: int) -> None:
        self._into, self._out = into, out
        os.set_blocking(into, False)
        os.set_blocking(out, False)

    def send(self, message: dict[str, Any], until: float, parts: Sequence[bytes] = ()) -> None:
        """Send a message and the frames that belong to it. Raises Broken, Late."""
        for piece in pieces_of(json.dumps(message).encode(), *parts):
            rest = memoryview(piece)
            while rest:
                _wait(self._into, select.POLLOUT, until)
                try:
                    rest = rest[os.write(self._into, rest) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise Broken("the worker has ended") from error

    def receive(
        self, until: float, *, longest: int, parts: int = 0, longest_part: int = 0
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Return the next message and its parts, at most so many. Raises Broken, Late."""
        try:
            message = json.loads(self._frame(longest, until), parse_constant=_refused)
        except (ValueError, RecursionError) as error:
            raise Broken("the worker sent no JSON") from error
        lengths = message.get("parts") if isinstance(message, dict) else None
        if not isinstance(lengths, list) or len(lengths) > parts:
            raise Broken("the worker sent another message than was expected")
        return message, [self._frame(longest_part, until) for _ in lengths]

    def is_silent(self) -> bool:
        """Return whether nothing waits to be read: nothing was asked, so nothing should come."""
        look = select.poll()
        look.register(self._out, select.POLLIN)
        return not look.poll(0)

    def _frame(self, longest: int, until: float) -> bytes:
        (length,) = LENGTH.unpack(self._read(LENGTH.size, until))
        if length > longest:
            raise Broken(f"the worker sent {length} bytes, and {longest} is the most")
        return self._read(length, until)

    def _read(self, length: int, until: float) -> bytes:
        read = bytearray()
        while len(read) < length:
            _wait(self._out, select.POLLIN, until)
            try:
                piece = os.read(self._out, min(length - len(read), 2**20))
            except BlockingIOError:
                continue
            if not piece:
                raise Broken("the worker has ended")
            read += piece
        return bytes(read)


def _wait(file: int, what: int, until: float) -> None:
    look = select.poll()
    look.register(file, what)
    if not look.poll(max(0.0, until - time.monotonic()) * 1000):
        raise Late


def _refused(constant: str) -> Any:
    raise ValueError(constant)
