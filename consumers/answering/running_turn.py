"""A turn that is being answered: what it has produced so far, as listeners see it."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import time
import uuid
from collections.abc import Hashable, Sequence
from itertools import count
from typing import Literal, NamedTuple

from ...core import conf
from .. import live
from ..endings import is_cut
from ..markdown import MarkdownStream
from ..page.calls import call_piece
from ..page.room import Room
from ..page.things import things_of
from ..page.turn_view import (
    File,
    Piece,
    TurnView,
    block_pieces,
    is_held,
    tool_piece,
    tool_result_piece,
)
from ..thoughts import Part
from .steps import (
    Answer,
    CallEnded,
    Step,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
)

# How long text is collected before it is shown: at first, and more and more slowly from one length
# of the answer on until another. What a frame costs besides its text matters if there are many.
FLUSH_SECONDS = 0.04
LATER_FLUSH_SECONDS = 0.4
LATER_FROM, LATER = 4_000, 12_000
# Rendering takes at most this part of a processor: of one turn, and of all that run.
SHARE, SHARE_OF_ALL = 0.1, 0.25


class _Shown(NamedTuple):
    pieces: tuple[Piece, ...] = ()
    tail_source: str = ""
    tail: str = ""
    text: str = ""


class RunningTurn:
    """The state of an answer in progress; everything that listeners see is rendered here, once."""

    def __init__(
        self,
        key: Hashable,
        turn_id: uuid.UUID,
        *,
        actor_id: uuid.UUID | None,
        version: int,
        human_text: str,
        show_human: bool,
        at: dt.datetime,
        files: Sequence[File] = (),
    ) -> None:
        self.key = key
        self.version = version
        self.turn_id = turn_id
        self.actor_id = actor_id
        self.answer = Answer()
        self.outcome: str = "open"
        self.ended = False
        self.over = asyncio.Event()
        """Set once the turn has ended, and its end is in the log."""
        self.recorded = version > 0
        """Whether the turn belongs to a conversation, not only to its connection."""
        self.in_log = False
        """Whether the turn's end is committed, as far as this process has appended it."""
        self.failure: dict[str, str] | None = None
        self.stopped_as: Literal["cancelled", "interrupted"] = "cancelled"
        self.pieces: list[Piece] = []
        self._cost = 0.0
        """Seconds that the last rendering took."""
        self._fixed = (human_text, show_human, at, files)
        self._markdown = MarkdownStream()
        self._room = Room()
        self.unshown: list[Part] = []
        self._text = ""
        self._thinking: str | None = None
        """The id of the thought that goes on, if one does."""
        self._thoughts, self._thought = count(), 0
        # Set at once: a thread renders, and the event loop looks.
        self._shown = _Shown()
        self.context = contextvars.copy_context()
        """The context of the connection that asked: it may say whose data it sees."""
        self.task: asyncio.Task[None] | None = None
        self.relay: asyncio.Task[None] | None = None

    @property
    def human_text(self) -> str:
        return self._fixed[0]

    def view(self) -> TurnView:
        """Return what there is to show now."""
        human_text, show_human, at, files = self._fixed
        shown = self._shown
        return TurnView(
            id=str(self.turn_id),
            version=self.version,
            # The outcome is not shown before the log has it.
            outcome=self.outcome if self.ended else "open",
            human_text=human_text,
            show_human=show_human,
            at=at,
            pieces=shown.pieces,
            tail=shown.tail,
            tail_source=shown.tail_source,
            text=shown.text,
            failure=self.failure,
            files=files,
            cut=self.ended and self.outcome == "completed" and is_cut(self.answer.message),
        )

    def go_on_from(self, view: TurnView) -> None:
        """Begin with what the turn had shown before it waited.

        The calls that waited have no result yet: each is shown when it starts.
        """
        shown = [piece for piece in view.pieces if not is_held(piece)]
        self._thoughts = count(sum(piece["kind"] == "thinking" for piece in shown))
        self._text = view.text
        self._publish(shown)

    def hear(self, step: TextDelta | ThinkingDelta) -> None:
        """Take in what is to be shown soon."""
        part = Part(isinstance(step, ThinkingDelta), step.text)
        if self.unshown and self.unshown[-1].thought == part.thought:
            part = part._replace(text=self.unshown.pop().text + part.text)
        self.unshown.append(part)

    def take(self) -> list[Part]:
        """Return what is to be shown next."""
        parts, self.unshown = self.unshown, []
        return parts

    def follow(self, step: Step) -> None:
        """Take in a step of the agent. A tool's, and a call's end, close the open block."""
        match step:
            case TextDelta() | ThinkingDelta():
                self.hear(step)
            case CallEnded(number, gave, seconds):
                piece = call_piece(number, gave, seconds) if conf.get().show_calls else None
                self.flush()
                self._thinking = None
                if piece is not None:
                    self.finish_text()
                    self._publish([piece])
            case ToolStarted(number, tool, tool_input):
                self.finish_text()
                self._publish([tool_piece(number, tool, tool_input, self._room)])
            case ToolFinished(number, output, shown):
                things = things_of(output.get("output"), self._room)
                self._publish([tool_result_piece(number, output, shown, self._room, things)])

    def flush(self) -> None:
        """Render what has arrived since the last time."""
        self.show(self.take())

    def show(self, parts: Sequence[Part]) -> None:
        """Render more. Any thread may do this, one at a time."""
        # This thread's own time: on a busy machine others' would let people wait ten times as long.
        begun = time.thread_time()
        for part in parts:
            if part.thought:
                self._show_thought(part.text)
            else:
                self._show_text(part.text)
        self._cost = time.thread_time() - begun

    def _show_text(self, text: str) -> None:
        self._thinking = None
        self._text += text
        closed = block_pieces(self._markdown.feed(text))
        self._publish(closed, *self._markdown.steady)

    def _show_thought(self, text: str) -> None:
        self._thought += len(text)
        if not conf.get().show_calls:
            return
        shown = self._room.thought(text, goes_on=self._thinking is not None)
        if not shown:
            return
        new: list[Piece] = []
        if self._thinking is None:
            new += block_pieces(self._markdown.finish())
            self._thinking = str(next(self._thoughts))
            new.append({"kind": "thinking", "id": self._thinking, "text": shown})
        else:
            new.append({"kind": "thinking_more", "id": self._thinking, "text": shown})
        self._publish(new)

    def finish_text(self) -> None:
        """Close the open block."""
        self.flush()
        self._publish(block_pieces(self._markdown.finish()))

    def _publish(self, new: list[Piece], tail_source: str = "", tail: str = "") -> None:
        self.pieces += new
        self._shown = _Shown(tuple(self.pieces), tail_source, tail, self._text)
        live.wake(self.key)

    def pause(self, turns: int = 1) -> float:
        """Return for how many seconds text is collected before it is shown, if so many turns run.

        A block that is slow to render is rendered less often, and so is each of many.
        """
        said = len(self._text) + self._thought
        slowed = min(1.0, max(0.0, (said - LATER_FROM) / (LATER - LATER_FROM)))
        usual = FLUSH_SECONDS + slowed * (LATER_FLUSH_SECONDS - FLUSH_SECONDS)
        return max(usual, self._cost / SHARE, self._cost * turns / SHARE_OF_ALL)

    def stop_soon(self) -> None:
        """End the turn from another thread."""
        if self.task is not None:
            self.task.get_loop().call_soon_threadsafe(self.stop)

    def stop(self, outcome: Literal["cancelled", "interrupted"] = "cancelled") -> None:
        """End the turn now; what it has produced so far is recorded."""
        if self.task is not None and self.outcome == "open":
            self.stopped_as = outcome
            self.task.cancel(outcome)
