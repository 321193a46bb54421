"""Two moments of a conversation, compared turn by turn: by which turn it is, not by its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...projections.trail import Trail, TrailTurn, read_trail
from .access import Reviewed
from .shown import TurnShown, turn_shown

_TURNS = 100
"""The most turns of each moment that are compared: the last ones."""

What = Literal["same", "came", "went", "changed"]


@dataclass(frozen=True, slots=True)
class Row:
    """One turn at both moments; None where people did not see it."""

    before: TurnShown | None
    after: TurnShown | None
    what: What


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two moments, and their turns side by side in the order they began."""

    before: Trail
    after: Trail
    rows: Sequence[Row]

    def count(self, what: What) -> int:
        """Return how many turns came, went, changed or stayed the same."""
        return sum(row.what == what for row in self.rows)

    @property
    def came(self) -> int:
        return self.count("came")

    @property
    def went(self) -> int:
        return self.count("went")

    @property
    def changed(self) -> int:
        return self.count("changed")


def compared(what: Reviewed, a: int | None, b: int | None) -> Comparison:
    """Return what people saw at versions a and b (None: now). Raises MomentError."""
    before, after = (
        read_trail(what.conversation.pk, version=each, limit=_TURNS, only=what.only)
        for each in (a, b)
    )
    here, there = _seen(before), _seen(after)
    ids = sorted(
        {**here, **there}, key=lambda turn_id: (here.get(turn_id) or there[turn_id]).version
    )
    return Comparison(before, after, [_row(what, here.get(each), there.get(each)) for each in ids])


def _seen(trail: Trail) -> dict[object, TrailTurn]:
    return {item.turn.turn_id: item for item in trail.turns if not (item.cleared or item.left)}


def _row(of: Reviewed, before: TrailTurn | None, after: TrailTurn | None) -> Row:
    if before is None:
        what: What = "came"
    elif after is None:
        what = "went"
    else:
        # A turn changes by its own events alone.
        what = "same" if before.turn.last == after.turn.last else "changed"
    return Row(_shown(of, before), _shown(of, after), what)


def _shown(of: Reviewed, item: TrailTurn | None) -> TurnShown | None:
    return None if item is None else turn_shown(of, item)
