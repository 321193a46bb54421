"""A process that follows the whole log and writes down what it has seen.

What it has written is its checkpoint: killed at any moment, the next one goes on from there.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from turnlog.events.log import read_all
from turnlog.events.models import Event

from .child import Wire

_LOOK_AGAIN = 0.02  # seconds


class Seen(NamedTuple):
    """A line of the journal."""

    position: int
    stream: int
    version: int
    hash: str


class Journal:
    """A file of what was seen, in order."""

    def __init__(self, path: Path) -> None:
        path.touch()
        whole = path.read_text().rpartition("\n")
        if whole[2]:
            # Its writer was killed within a line.
            path.write_text(whole[0] + whole[1])
        self.path = path
        lines = self.lines()
        self.position = lines[-1].position if lines else 0

    def lines(self) -> list[Seen]:
        rows = (line.split() for line in self.path.read_text().splitlines())
        return [
            Seen(int(at), int(stream), int(version), hash_) for at, stream, version, hash_ in rows
        ]

    def add(self, events: Sequence[Event]) -> None:
        text = "".join(
            f"{e.position} {e.stream_id} {e.version} {bytes(e.hash).hex()}\n" for e in events
        )
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)
        self.position = events[-1].position


def follow(wire: Wire, *, label: str, seed: int, path: Path) -> None:
    """Read page after page; once told to stop, to the end of the log."""
    choose = random.Random(f"{seed}/{label}")
    journal = Journal(path)
    while True:
        last = wire.stopping
        events = list(read_all(after=journal.position, limit=choose.randint(1, 20)))
        if events:
            journal.add(events)
            wire.tell(read=journal.position)
        elif last:
            return
        wire.orders(0 if events else _LOOK_AGAIN)
