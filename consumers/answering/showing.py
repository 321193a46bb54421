"""Renders what a turn produces, off the event loop, and lets listeners see it within a moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from ...core.asynchronous import in_rendering_thread
from .. import failures
from ..thoughts import Part
from . import running
from .running_turn import RunningTurn
from .steps import Step, TextDelta, ThinkingDelta

logger = logging.getLogger("turnlog")


class Showing:
    """What comes of one turn, in its order: the rendering thread does one thing after the other."""

    def __init__(self, turn: RunningTurn) -> None:
        self._turn = turn
        self._timer: asyncio.TimerHandle | None = None
        self._shown_at = 0.0
        self._rendering: asyncio.Future[None] | None = None

    async def follow(self, step: Step) -> None:
        """Take in a step of the agent."""
        if isinstance(step, TextDelta | ThinkingDelta):
            self._turn.hear(step)
            self._show_in_a_moment()
        else:
            # It is put there although this task may be stopped: the text before it is in it.
            await asyncio.shield(self._render(partial(self._turn.follow, step)))

    async def finish(self) -> None:
        """Close the open block: the model has finished. What cannot be shown is still recorded."""
        try:
            await self._render(self._turn.finish_text)
        except Exception as error:  # noqa: BLE001 - the answer itself is not at stake
            logger.error("an answer could not be shown: %s", failures.where(error))

    def _render(self, step: Callable[[], None]) -> asyncio.Future[None]:
        """Render the text that has arrived, and then a step.

        The text is taken here, and nowhere else: while the rendering thread is busy, the timer
        would take it in between and show it below the step.
        """
        self._forget_timer()
        return in_rendering_thread(self._in_order)(self._turn.take(), step)

    def _in_order(self, parts: Sequence[Part], step: Callable[[], None]) -> None:
        if parts:
            self._turn.show(parts)
        step()

    def _show_in_a_moment(self) -> None:
        if self._timer is None and self._rendering is None and self._turn.unshown:
            # What comes after a silence, such as the first word, is shown at once.
            loop = asyncio.get_running_loop()
            pause = self._turn.pause(running.count())
            self._timer = loop.call_at(self._shown_at + pause, self._show)

    def _show(self) -> None:
        self._timer = None
        self._shown_at = asyncio.get_running_loop().time()
        self._rendering = in_rendering_thread(self._turn.show)(self._turn.take())
        self._rendering.add_done_callback(self._shown)

    def _shown(self, rendering: asyncio.Future[None]) -> None:
        self._rendering = None
        if not rendering.cancelled() and (error := rendering.exception()):
            logger.error("an answer could not be shown: %s", failures.where(error))
        self._show_in_a_moment()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
