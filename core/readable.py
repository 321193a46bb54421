"""JSON texts for people: indented, and bounded, whatever was stored."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .wellformed import wellformed

LARGE = 1_000_000
"""Characters of a JSON text that is too large to be read for a page."""


@dataclass(frozen=True, slots=True)
class Readable:
    """A JSON text as people read it, and whether there is more of it than `text`."""

    text: str
    cut: bool


def readable(stored: str, most: int) -> Readable:
    """Return at most `most` characters of a JSON text, indented.

    What is no JSON, or is large, is shown as it is stored.
    """
    text = stored if len(stored) > LARGE else _indented(stored, most) or stored
    return Readable(wellformed(text[:most]), cut=len(text) > most)


def _indented(stored: str, most: int) -> str:
    """JSON with a line for each value; a little more than `most` characters of it, if it is longer.

    Empty if it is no JSON.
    """
    text = ""
    try:
        # Piece by piece: what is nested deeply takes many times its length.
        for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(json.loads(stored)):
            text += piece
            if len(text) > most:
                break
    except (ValueError, RecursionError):
        return ""
    return text
