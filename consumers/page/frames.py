"""What a socket sends: one set of frames, written as HTML for htmx or as JSON for other clients.

docs/frames.md describes both for people who write clients or override templates.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypedDict

from django.template.loader import render_to_string

from .progress import Progress, changes, has_all
from .turn_view import File, Piece, TurnView, is_apart, merged

Level = Literal["error", "info"]


class FileLimits(TypedDict):
    """What a page may send besides words: where to, which types, how many, and how many bytes."""

    url: str
    accept: str
    most: int
    largest: int


class Encoder(Protocol):
    """Each method returns the texts of the frames to send, in order.

    `progress` notes what it returns as sent.
    """

    files_url: str
    """Where the conversation's pictures and files are; empty if nothing serves them."""

    def hello(
        self, *, max_length: int, banner: str, welcome: str, files: FileLimits | None = None
    ) -> list[str]: ...
    def reset(self) -> list[str]: ...
    def gone(self, turn_ids: Sequence[str]) -> list[str]: ...
    def turn(self, turn: TurnView, cursor: int | None) -> list[str]: ...
    def progress(self, turn: TurnView, sent: Progress) -> list[str]: ...
    def ended(self, turn: TurnView, cursor: int | None, sent: Progress) -> list[str]: ...
    def earlier(self, turns: Sequence[TurnView], *, more: bool, before: int) -> list[str]: ...
    def notice(self, text: str, *, level: Level, refused_turn_id: str = "") -> list[str]: ...


class HtmlEncoder:
    """Fragments that htmx swaps out of band; you can override the templates."""

    files_url = ""

    def hello(
        self, *, max_length: int, banner: str, welcome: str, files: FileLimits | None = None
    ) -> list[str]:
        told = {"max_length": max_length, "banner": banner, "welcome": welcome, "files": files}
        return [_html("hello", **told)]

    def reset(self) -> list[str]:
        return [_html("reset")]

    def gone(self, turn_ids: Sequence[str]) -> list[str]:
        return [_html("gone", turn_ids=turn_ids)]

    def turn(self, turn: TurnView, cursor: int | None) -> list[str]:
        return [_html("turn", turn=_whole(turn, self.files_url), cursor=cursor)]

    def progress(self, turn: TurnView, sent: Progress) -> list[str]:
        parts = changes(turn, sent)
        if len(parts) == 1 and (words := parts[0].get("words")):
            # Most frames are no more than this: a template would cost more than the words.
            return [_json(type="words", depth=parts[0]["depth"], content=words)]
        return [_html("pieces", turn_id=turn.id, parts=parts)] if parts else []

    def ended(self, turn: TurnView, cursor: int | None, sent: Progress) -> list[str]:
        return [
            _html(
                "ended", turn=_whole(turn, self.files_url), cursor=cursor, kept=has_all(turn, sent)
            )
        ]

    def earlier(self, turns: Sequence[TurnView], *, more: bool, before: int) -> list[str]:
        return [
            _html(
                "earlier",
                turns=[_whole(t, self.files_url) for t in turns],
                more=more,
                before=before,
            )
        ]

    def notice(self, text: str, *, level: Level, refused_turn_id: str = "") -> list[str]:
        return [_html("notice", text=text, level=level, refused_turn_id=refused_turn_id)]


class JsonEncoder:
    """Objects with `id`, `role`, `mode` and `content` for what is said, or `type` for the rest."""

    files_url = ""

    def hello(
        self, *, max_length: int, banner: str, welcome: str, files: FileLimits | None = None
    ) -> list[str]:
        told = {"max_length": max_length, "banner": banner, "welcome": welcome, "files": files}
        return [_json(type="hello", **told)]

    def reset(self) -> list[str]:
        return [_json(type="reset")]

    def gone(self, turn_ids: Sequence[str]) -> list[str]:
        return [_json(type="gone", ids=list(turn_ids))]

    def turn(self, turn: TurnView, cursor: int | None) -> list[str]:
        return [*self._messages(turn), self._standing(turn, cursor)]

    def progress(self, turn: TurnView, sent: Progress) -> list[str]:
        new = turn.pieces[len(sent.pieces) :]
        frames = [self._piece(turn, piece) for piece in new if is_apart(piece)]
        if text := turn.text[len(sent.text) :]:
            frames.append(self._answer(turn, "append", text))
        sent.note(turn)
        return frames

    def ended(self, turn: TurnView, cursor: int | None, sent: Progress) -> list[str]:
        # Sends what the listener missed: it came too fast, another process answered the turn, or
        # the project recorded other words than the model's.
        had = list(filter(is_apart, merged(sent.pieces)))
        cards = list(filter(is_apart, merged(turn.pieces)))
        frames = [self._piece(turn, card) for card in cards if card not in had]
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
            files = files_shown(turn.files, self.files_url)
            said = {"content": turn.human_text} | ({"files": files} if files else {})
            frames.append(_json(id=f"{turn.id}-human", role="user", mode="overwrite", **said))
        frames += [self._piece(turn, piece) for piece in merged(turn.pieces) if is_apart(piece)]
        if turn.text:
            frames.append(self._answer(turn, "overwrite", turn.text))
        return frames

    def _answer(self, turn: TurnView, mode: str, text: str) -> str:
        return _json(id=turn.id, role="assistant", mode=mode, content=text)

    def _piece(self, turn: TurnView, piece: Piece) -> str:
        match piece["kind"]:
            case "thinking" | "thinking_more" as kind:
                mode = "overwrite" if kind == "thinking" else "append"
                id_ = f"{turn.id}-thinking-{piece['id']}"
                return _json(id=id_, role="thinking", mode=mode, content=piece["text"])
            case "call":
                told = {k: v for k, v in piece.items() if k not in ("kind", "id")}
                return _json(type="call", id=turn.id, number=int(piece["id"]), **told)
        return self._tool(turn, piece)

    def _tool(self, turn: TurnView, piece: Piece) -> str:
        """Return a tool's card: whole at its start, its result with `mode` append."""
        names = ("name", "input", "status", "things", "seconds", "decidable", "missing")
        known = {name: piece[name] for name in names if name in piece}
        mode = "append" if piece["kind"] == "tool_result" else "overwrite"
        return _json(
            id=f"{turn.id}-tool-{piece['id']}",
            role="tool",
            mode=mode,
            content=piece.get("output", ""),
            **known,
        )

    def _standing(self, turn: TurnView, cursor: int | None) -> str:
        branch = {} if turn.branch is None else {"branch": turn.branch}
        return _json(
            type="turn",
            id=turn.id,
            outcome=turn.outcome,
            error=turn.error,
            version=cursor,
            **branch,
        )


def _whole(turn: TurnView, files_url: str) -> dict[str, Any]:
    """Return a turn for a template, with the tools' results in their cards."""
    names = (
        *("id", "version", "outcome", "show_human", "human", "tail", "error", "at"),
        *("branch", "replaceable", "decided"),
    )
    return {name: getattr(turn, name) for name in names} | {
        "pieces": merged(turn.pieces),
        "files": files_shown(turn.files, files_url),
    }


def files_shown(files: Sequence[File], files_url: str) -> list[dict[str, Any]]:
    """Return what was sent with the words, each file with its name in a message (`id`) and the
    address that serves it, empty if nothing does."""
    return [
        {
            "id": f"{file['version']}.{file['number']}",
            "url": f"{files_url}{file['version']}/{file['number']}/" if files_url else "",
            **{name: file[name] for name in ("kind", "name", "mime_type", "width", "height")},
        }
        for file in files
    ]


def _html(name: str, **context: Any) -> str:
    return render_to_string(f"turnlog/frames/{name}.html", context)


def _json(**content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
