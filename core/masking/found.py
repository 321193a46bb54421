"""One place where a text holds personal data."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    """Characters `start` to `end`, what they are, and the value in the form that is compared."""

    start: int
    end: int
    kind: str
    value: str
