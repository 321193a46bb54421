"""The calls of a turn's model: each is streamed, and tried again while nothing has come of it.

A call that failed is on record (`FailedCall`) if another try followed; the last one's error is the
turn's own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from ...core import retrying
from ...events.rounds import Round
from ..mixins.llm import model_name_of
from ..thoughts import has_thoughts
from .binding import with_tools
from .model_try import ModelTry
from .steps import Answer, CallEnded, Step, TextDelta

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool

# The same call may end otherwise in a moment.
_PASSING = ("busy", "unavailable", "unreachable", "timeout", "truncated", "empty", "unreadable")
# The model has answered, if not as was hoped: another one is not asked instead.
_ANSWERED = ("declined", "filtered", "length")
_LONGEST_PAUSE = 30.0


class Models:
    """The models that one turn may call: the first one, or one that stands in for it."""

    def __init__(
        self,
        answer: Answer,
        llms: Sequence[BaseChatModel],
        tools: Sequence[BaseTool],
        retries: int,
    ) -> None:
        self._answer = answer
        self._tools = tools
        self._retries = retries
        self._left = list(llms)
        self._take_next()

    async def call(self, conversation: Sequence[Any], gap: str) -> AsyncGenerator[Step]:
        """Call the model until a try gives a message or is the last; yield the steps.

        The first words come behind `gap`. The last try is `tried` afterwards.
        """
        self._pauses = retrying.CALLING.pauses()
        self._tries = self._retries
        while True:
            self.tried = tried = ModelTry(self._runnable, len(self._answer.tools_at))
            try:
                async with contextlib.aclosing(tried.steps(conversation, gap)) as steps:
                    async for step in steps:
                        if isinstance(step, TextDelta):
                            self._answer.text += step.text
                        yield step
            except BaseException:  # Somebody has stopped it.
                self._keep_thoughts(tried)
                raise
            pause = self._pause_before_another(tried)
            if pause is not None:
                yield self._ended(tried.failed(self._name), tried.seconds)
                await asyncio.sleep(pause)
                continue
            if tried.message is None:
                self._keep_thoughts(tried)
            else:
                self._answer.seconds.append(tried.seconds)
                yield self._ended(tried.message, tried.seconds)
            return

    def _take_next(self) -> None:
        llm = self._left.pop(0)
        self._name = model_name_of(llm)
        self._runnable = with_tools(llm, self._tools)

    def _pause_before_another(self, tried: ModelTry) -> float | None:
        """Return the seconds to wait before another try; None if there is none.

        What people have seen is not taken back. After a tool has run, no other model is asked:
        it could not read what the first one thinks it has called the tool for.
        """
        error = tried.fault(self._answer.text)
        if error is None or tried.came:
            return None
        kind = tried.told(error)["kind"]
        if kind in _PASSING and self._tries:
            self._tries -= 1
            return max(next(self._pauses), _asked_pause(error))
        if self._left and not self._answer.tools_at and kind not in _ANSWERED:
            self._take_next()
            self._pauses, self._tries = retrying.CALLING.pauses(), self._retries
            return 0.0
        return None

    def _keep_thoughts(self, tried: ModelTry) -> None:
        """Keep what a call that broke off has thought; its words are the answer's already."""
        half = tried.so_far()
        if half is not None and has_thoughts(half):
            self._answer.rounds.append(half)
            self._answer.seconds.append(tried.seconds)

    def _ended(self, gave: Round, seconds: float) -> CallEnded:
        self._answer.rounds.append(gave)
        return CallEnded(len(self._answer.rounds) - 1, gave, seconds)


def _asked_pause(error: Exception) -> float:
    """Return the seconds for which a server asks to be left alone, if it does, within a limit."""
    try:
        headers = getattr(getattr(error, "response", None), "headers", {})
        return min(max(float(headers.get("retry-after", 0)), 0.0), _LONGEST_PAUSE)
    except Exception:  # noqa: BLE001 - a date, or nonsense; the error may be of any class
        return 0.0
