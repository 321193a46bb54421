"""A turn that is being answered: what it has produced so far, as listeners see it."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Hashable
from typing import Literal

from .. import live
from ..endings import is_cut
from ..markdown import MarkdownStream
from ..page.turn_view import Piece, TurnView, block_pieces, tool_piece, tool_result_piece
from .agent import Answer, Step, TextDelta, ToolFinished, ToolStarted

# How long text is collected before it is shown: at first, and once an answer is this long. What a
# frame costs besides its text matters only if there are many of them.
FLUSH_SECONDS = 0.08
LATER_FLUSH_SECONDS = 0.4
LATER = 4_000


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
        self.tail = self.tail_source = ""
        self.shown_text = ""
        self._fixed = (human_text, show_human, at)
        self._markdown = MarkdownStream()
        self._unshown = ""
        self._flush_at: asyncio.TimerHandle | None = None
        self._pause = FLUSH_SECONDS
        self.task: asyncio.Task[None] | None = None
        self.relay: asyncio.Task[None] | None = None

    def view(self) -> TurnView:
        """Return what there is to show now."""
        human_text, show_human, at = self._fixed
        return TurnView(
            id=str(self.turn_id),
            version=self.version,
            # The outcome is not shown before the log has it.
            outcome=self.outcome if self.ended else "open",
            human_text=human_text,
            show_human=show_human,
            at=at,
            pieces=tuple(self.pieces),  # The list keeps growing while the view is sent.
            tail=self.tail,
            tail_source=self.tail_source,
            text=self.shown_text,
            failure=self.failure,
            cut=self.ended and self.outcome == "completed" and is_cut(self.answer.message),
        )

    def follow(self, step: Step) -> None:
        """Take in a step of the agent; listeners see it within a moment."""
        match step:
            case TextDelta(text):
                self._unshown += text
                if self._flush_at is None:
                    loop = asyncio.get_running_loop()
                    self._flush_at = loop.call_later(self._pause, self.flush)
            case ToolStarted(number, tool, tool_input):
                self._close_blocks()
                self.pieces.append(tool_piece(number, tool, tool_input))
                live.wake(self.key)
            case ToolFinished(number, output, shown):
                self.pieces.append(tool_result_piece(number, output, shown))
                live.wake(self.key)

    def flush(self) -> None:
        """Render the text that has arrived since the last time."""
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        begun = time.perf_counter()
        text, self._unshown = self._unshown, ""
        self.shown_text += text
        self.pieces += block_pieces(self._markdown.feed(text))
        self.tail_source, self.tail = self._markdown.steady
        # A block that is slow to render is rendered less often.
        self._pause = max(self._usual_pause, 10 * (time.perf_counter() - begun))
        live.wake(self.key)

    def finish_text(self) -> None:
        """Close the open block: the model has finished."""
        self._close_blocks()
        live.wake(self.key)

    def _close_blocks(self) -> None:
        self.flush()
        self.pieces += block_pieces(self._markdown.finish())
        self.tail = self.tail_source = ""

    @property
    def _usual_pause(self) -> float:
        slowed = min(1.0, len(self.shown_text) / LATER)
        return FLUSH_SECONDS + slowed * (LATER_FLUSH_SECONDS - FLUSH_SECONDS)

    def stop_soon(self) -> None:
        """End the turn from another thread."""
        if self.task is not None:
            self.task.get_loop().call_soon_threadsafe(self.stop)

    def stop(self, outcome: Literal["cancelled", "interrupted"] = "cancelled") -> None:
        """End the turn now; what it has produced so far is recorded."""
        if self.task is not None and self.outcome == "open":
            self.stopped_as = outcome
            self.task.cancel(outcome)
