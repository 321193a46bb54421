"""How much of a running turn a listener has, and what is new for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import unescape
from itertools import groupby
from typing import Any

from django.utils.safestring import mark_safe

from ..markdown.raw import with_raw
from .growth import Growth, growth, is_rows
from .turn_view import Piece, TurnView, is_apart, merged

# More than this is not sent again because its end has changed: see `_is_too_much`.
_AGAIN = 1_000


@dataclass
class Progress:
    """How much of a running turn a listener has received."""

    turn: TurnView | None = None
    tail: str = ""
    """The HTML of the open block, as the listener has it."""
    source: str = ""
    """The open block's Markdown, as far as the listener has it, rendered or as plain text."""
    rendered: int = 0
    """How much of that was rendered."""

    def note(self, turn: TurnView) -> None:
        """Note that all of this turn has been sent."""
        self.turn = turn
        self.tail, self.source = turn.tail, turn.tail_source
        self.rendered = len(turn.tail_source)

    @property
    def pieces(self) -> Sequence[Piece]:
        return self.turn.pieces if self.turn else ()

    @property
    def text(self) -> str:
        return self.turn.text if self.turn else ""


def changes(turn: TurnView, sent: Progress) -> list[dict[str, Any]]:
    """Return how the answer on a page becomes that of the turn, in parts for a template.

    A part is a piece that is none of the answer's blocks, such as a tool that starts or ends, or
    `{"kind": "growth", ...}`; what adds nothing but text has it in `words`. Notes them as sent.
    """
    new = turn.pieces[len(sent.pieces) :]
    had = replace(sent)
    sent.note(turn)
    parts: list[dict[str, Any]] = []
    open_block = had.tail
    # The open block comes first, whatever has become of it, and the one that is open now last.
    pieces: list[Piece] = [_block(""), *new, _block(turn.tail)]
    for apart, group in groupby(pieces, is_apart):
        if apart:
            parts += group
            continue
        html = "".join(piece["html"] for piece in group)
        steps = growth(open_block, html)
        if not new and _is_too_much(steps, turn, had):
            sent.tail = with_raw(had.tail, turn.tail_source[len(had.source) :])
            sent.rendered = had.rendered
            steps = growth(had.tail, sent.tail)
        parts += [_growth(turn, step) for step in steps]
        open_block = ""
    return parts


def _is_too_much(steps: Sequence[Growth], turn: TurnView, had: Progress) -> bool:
    """Return whether a change costs more than it is worth before the block is closed.

    Then the new Markdown is added as plain text. When the block is twice as long as it was when it
    was last rendered, it is rendered again: so all this costs no more than the block itself.
    """
    again = sum(len(step.html) for step in steps if step.drop)
    return again > _AGAIN and len(turn.tail_source) < 2 * had.rendered


def _growth(turn: TurnView, change: Growth) -> dict[str, Any]:
    last = ">:last-child"
    into = f"#answer-{turn.id}{last * change.depth}"
    return {
        "kind": "growth",
        "depth": change.depth,
        "words": _words(change),
        "into": mark_safe(into),
        "drop": [mark_safe(into + last)] * change.drop,
        "tag": "tbody" if is_rows(change.html) else "div",
        "html": mark_safe(change.html),
    }


def _words(change: Growth) -> str:
    """Return what a change adds if it is nothing but words, otherwise nothing."""
    return "" if change.drop or "<" in change.html else unescape(change.html)


def _block(html: str) -> Piece:
    return {"kind": "block", "html": html}


def has_all(turn: TurnView, sent: Progress) -> bool:
    """Return whether a listener has all of a turn as the log has it, but for its outcome."""
    had = sent.turn
    if had is None or sent.tail != turn.tail or merged(had.pieces) != merged(turn.pieces):
        return False
    said = ("id", "human_text", "files", "show_human", "at")
    return all(getattr(had, name) == getattr(turn, name) for name in said)
