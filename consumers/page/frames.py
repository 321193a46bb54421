"""What a socket sends: one set of frames, written as HTML for htmx or as JSON for other clients.

docs/frames.md describes both for people who write clients or override templates.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal, Protocol

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from ..markdown.raw import with_raw
from .growth import Growth, growth, is_rows
from .turn_view import Piece, TurnView, merged

Level = Literal["error", "info"]

# More than this is not sent again because its end has changed: see `_with_plain_text`.
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


class Encoder(Protocol):
    """Each method returns the texts of the frames to send, in order.

    `progress` notes what it returns as sent.
    """

    def hello(self, *, max_length: int, banner: str, welcome: str) -> list[str]: ...
    def reset(self) -> list[str]: ...
    def turn(self, turn: TurnView, cursor: int | None) -> list[str]: ...
    def progress(self, turn: TurnView, sent: Progress) -> list[str]: ...
    def ended(self, turn: TurnView, cursor: int | None, sent: Progress) -> list[str]: ...
    def earlier(self, turns: Sequence[TurnView], *, more: bool, before: int) -> list[str]: ...
    def notice(self, text: str, *, level: Level, refused_turn_id: str = "") -> list[str]: ...


class HtmlEncoder:
    """Fragments that htmx swaps out of band; you can override the templates."""

    def hello(self, *, max_length: int, banner: str, welcome: str) -> list[str]:
        return [_html("hello", max_length=max_length, banner=banner, welcome=welcome)]

    def reset(self) -> list[str]:
        return [_html("reset")]

    def turn(self, turn: TurnView, cursor: int | None) -> list[str]:
        return [_html("turn", turn=_whole(turn), cursor=cursor)]

    def progress(self, turn: TurnView, sent: Progress) -> list[str]:
        parts = changes(turn, sent)
        return [_html("pieces", turn_id=turn.id, parts=parts)] if parts else []

    def ended(self, turn: TurnView, cursor: int | None, sent: Progress) -> list[str]:
        return [_html("ended", turn=_whole(turn), cursor=cursor, kept=_same(turn, sent))]

    def earlier(self, turns: Sequence[TurnView], *, more: bool, before: int) -> list[str]:
        return [_html("earlier", turns=[_whole(t) for t in turns], more=more, before=before)]

    def notice(self, text: str, *, level: Level, refused_turn_id: str = "") -> list[str]:
        return [_html("notice", text=text, level=level, refused_turn_id=refused_turn_id)]


class JsonEncoder:
    """Objects with `id`, `role`, `mode` and `content` for what is said, or `type` for the rest."""

    def hello(self, *, max_length: int, banner: str, welcome: str) -> list[str]:
        return [_json(type="hello", max_length=max_length, banner=banner, welcome=welcome)]

    def reset(self) -> list[str]:
        return [_json(type="reset")]

    def turn(self, turn: TurnView, cursor: int | None) -> list[str]:
        return [*self._messages(turn), self._standing(turn, cursor)]

    def progress(self, turn: TurnView, sent: Progress) -> list[str]:
        new = turn.pieces[len(sent.pieces) :]
        frames = [self._tool(turn, piece) for piece in new if _tool(piece)]
        if text := turn.text[len(sent.text) :]:
            frames.append(self._answer(turn, "append", text))
        sent.note(turn)
        return frames

    def ended(self, turn: TurnView, cursor: int | None, sent: Progress) -> list[str]:
        # Sends what the listener missed: it came too fast, another process answered the turn, or
        # the project recorded other words than the model's.
        had = list(filter(_tool, merged(sent.pieces)))
        cards = list(filter(_tool, merged(turn.pieces)))
        frames = [self._tool(turn, card) for card in cards if card not in had]
        if turn.text != sent.text:
            if turn.text.startswith(sent.text):
                frames.append(self._answer(turn, "append", turn.text[len(sent.text) :]))
            else:
                frames.append(self._answer(turn, "overwrite", turn.text))
        return [*frames, self._standing(turn, cursor)]

    def earlier(self, turns: Sequence[TurnView], *, more: bool, before: int) -> list[str]:
        messages = [json.loads(frame) for turn in turns for frame in self.turn(turn, None)]
        return [_json(type="earlier", messages=messages, more=more, before=before)]

    def notice(self, text: str, *, level: Level, refused_turn_id: str = "") -> list[str]:
        return [_json(type="notice", level=level, content=text, refused_turn_id=refused_turn_id)]

    def _messages(self, turn: TurnView) -> list[str]:
        frames = []
        if turn.show_human:
            frames.append(
                _json(id=f"{turn.id}-human", role="user", mode="overwrite", content=turn.human_text)
            )
        frames += [self._tool(turn, piece) for piece in merged(turn.pieces) if _tool(piece)]
        if turn.text:
            frames.append(self._answer(turn, "overwrite", turn.text))
        return frames

    def _answer(self, turn: TurnView, mode: str, text: str) -> str:
        return _json(id=turn.id, role="assistant", mode=mode, content=text)

    def _tool(self, turn: TurnView, piece: Piece) -> str:
        """Return a tool's card: whole at its start, its result with `mode` append."""
        known = {
            name: piece[name] for name in ("name", "input", "status", "seconds") if name in piece
        }
        mode = "append" if piece["kind"] == "tool_result" else "overwrite"
        return _json(
            id=f"{turn.id}-tool-{piece['id']}",
            role="tool",
            mode=mode,
            content=piece.get("output", ""),
            **known,
        )

    def _standing(self, turn: TurnView, cursor: int | None) -> str:
        return _json(
            type="turn", id=turn.id, outcome=turn.outcome, error=turn.error, version=cursor
        )


def changes(turn: TurnView, sent: Progress) -> list[dict[str, Any]]:
    """Return how the answer on a page becomes that of the turn, in parts for a template.

    A part is a tool that starts or ends, as its piece says, or `{"kind": "growth", ...}`. Notes
    them as sent.
    """
    new = turn.pieces[len(sent.pieces) :]
    had = replace(sent)
    sent.note(turn)
    parts: list[dict[str, Any]] = []
    open_block = had.tail
    for is_tool, group in groupby([*new, {"kind": "block", "html": turn.tail}], _tool):
        if is_tool:
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
        "into": mark_safe(into),
        "drop": [mark_safe(into + last)] * change.drop,
        "tag": "tbody" if is_rows(change.html) else "div",
        "html": mark_safe(change.html),
    }


def _same(turn: TurnView, sent: Progress) -> bool:
    """Return whether a listener has all of a turn as the log has it, but for its outcome."""
    had = sent.turn
    if had is None or sent.tail != turn.tail or merged(had.pieces) != merged(turn.pieces):
        return False
    said = ("id", "human_text", "show_human", "at")
    return all(getattr(had, name) == getattr(turn, name) for name in said)


def _whole(turn: TurnView) -> dict[str, Any]:
    """Return a turn for a template, with the tools' results in their cards."""
    names = ("id", "version", "outcome", "show_human", "human", "tail", "error", "at")
    return {name: getattr(turn, name) for name in names} | {"pieces": merged(turn.pieces)}


def _tool(piece: Piece) -> bool:
    return bool(piece["kind"] != "block")


def _html(name: str, **context: Any) -> str:
    return render_to_string(f"turnlog/frames/{name}.html", context)


def _json(**content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)
