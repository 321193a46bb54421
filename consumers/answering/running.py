"""Turns that are being answered in this process.

A running turn is a task of the process, not of a connection: leaving the page does not cancel
it, and whoever comes finds it by its conversation and follows it from where it is.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
import uuid
from collections.abc import Hashable
from typing import Literal

from django.db import Error as DatabaseFailure

from ...core.asynchronous import in_database_thread
from ...events import runners
from .. import failures, live
from ..page.markdown import MarkdownStream
from ..page.turn_view import Piece, TurnView, block_pieces, tool_piece, tool_result_piece
from . import tasks
from .agent import Answer, Step, TextDelta, ToolFinished, ToolStarted
from .relay import relay

logger = logging.getLogger("turnlog")

FLUSH_SECONDS = 0.08
_HEARTBEAT = "turnlog heartbeat"

_turns: dict[Hashable, RunningTurn] = {}


class RunningTurn:
    """The state of an answer under way; everything that listeners see is rendered here, once."""

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
        self.failure: dict[str, str] | None = None
        self.stopped_as: Literal["cancelled", "interrupted"] = "cancelled"
        self.pieces: list[Piece] = []
        self.tail = ""
        self.shown_text = ""
        self._fixed = (human_text, show_human, at)
        self._markdown = MarkdownStream()
        self._unshown = ""
        self._flush_at: asyncio.TimerHandle | None = None
        self._pause = FLUSH_SECONDS
        self.task: asyncio.Task[None] | None = None
        self.relay: asyncio.Task[None] | None = None

    def view(self) -> TurnView:
        """What there is to show now."""
        human_text, show_human, at = self._fixed
        return TurnView(
            id=str(self.turn_id),
            version=self.version,
            # What the log does not say yet is not told either.
            outcome=self.outcome if self.ended else "open",
            human_text=human_text,
            show_human=show_human,
            at=at,
            pieces=tuple(self.pieces),  # Ours goes on growing while the view is sent.
            tail=self.tail,
            text=self.shown_text,
            failure=self.failure,
        )

    def follow(self, step: Step) -> None:
        """Take in a step of the agent's; listeners see it within a moment."""
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
            case ToolFinished(number, output):
                self.pieces.append(tool_result_piece(number, output))
                live.wake(self.key)

    def flush(self) -> None:
        """Render what has come since the last time."""
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        begun = time.perf_counter()
        text, self._unshown = self._unshown, ""
        self.shown_text += text
        self.pieces += block_pieces(self._markdown.feed(text))
        self.tail = self._markdown.tail
        # A block that is slow to render is rendered less often.
        self._pause = max(FLUSH_SECONDS, 10 * (time.perf_counter() - begun))
        live.wake(self.key)

    def finish_text(self) -> None:
        """The model has ended: no block stays open."""
        self._close_blocks()
        live.wake(self.key)

    def _close_blocks(self) -> None:
        self.flush()
        self.pieces += block_pieces(self._markdown.finish())
        self.tail = ""

    def stop(self, outcome: Literal["cancelled", "interrupted"] = "cancelled") -> None:
        """End the turn now; what it has produced is recorded."""
        if self.task is not None and self.outcome == "open":
            self.stopped_as = outcome
            self.task.cancel(outcome)


def find(key: Hashable) -> RunningTurn | None:
    """The turn that this process is answering in a conversation, if any."""
    return _turns.get(key)


def stop_hidden(key: Hashable, cleared: int) -> None:
    """Stop a turn that was cleared while it ran: nobody can see it, and it is in the way."""
    turn = _turns.get(key)
    if turn is not None and turn.version < cleared:
        turn.stop()


def enter(turn: RunningTurn) -> None:
    """Let listeners find it. Call it only once the human's words are committed."""
    turn.task = asyncio.current_task()
    _turns[turn.key] = turn
    if not any(task.get_name() == _HEARTBEAT for task in tasks.beside):
        tasks.spawn(_beat(), tasks.beside).set_name(_HEARTBEAT)
    if isinstance(turn.key, int) and live.shared_layer():
        turn.relay = tasks.spawn(relay(turn), tasks.beside)
    live.wake(turn.key, log_changed=True)


def leave(turn: RunningTurn) -> None:
    """The turn's end is in the log."""
    turn.ended = True
    if _turns.get(turn.key) is turn:
        del _turns[turn.key]
    if turn.relay is not None:
        turn.relay.cancel()
    live.wake(turn.key, log_changed=True)


async def drain(seconds: float) -> None:
    """Let running turns finish, at most so long; then record them as interrupted."""
    if tasks.turns:
        await asyncio.wait(list(tasks.turns), timeout=seconds)
    for turn in list(_turns.values()):
        turn.stop("interrupted")
    if tasks.turns:
        await asyncio.wait(list(tasks.turns), timeout=5)


async def _beat() -> None:
    """Say to other processes that this one is alive, while it has turns."""
    beat = in_database_thread(runners.beat)
    while _turns:
        try:
            await beat()
        except DatabaseFailure as error:
            logger.warning("no heartbeat: %s", failures.where(error))
        await asyncio.sleep(runners.HEARTBEAT_SECONDS)
