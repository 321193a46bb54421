"""A turn as a `with` block, for code that calls a model by itself."""

from __future__ import annotations

import asyncio
import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.asynchronous import in_database_thread
from ..core.errors import ArgumentError
from . import turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import AIMessage, HumanMessage

    from .prompt import Prompt
    from .types import Outcome


class TurnBlock:
    """Commits the user's words when the block begins, and what became of them when it ends.

    With `answer()`, the turn is recorded. If the block raises, the turn is closed as `failed`, or
    as `cancelled` if it was cancelled, and the error goes on. It does so too if there is no answer.
    """

    turn_id: uuid.UUID
    """The turn, once the block has begun."""

    def __init__(
        self,
        stream_id: int,
        human_message: str | HumanMessage,
        *,
        user: Any = None,
        turn_id: uuid.UUID | None = None,
        prompt: Prompt | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._stream_id, self._human, self._user = stream_id, human_message, user
        self._asked, self._prompt, self._metadata = turn_id, prompt, metadata
        self._answer: tuple[str | AIMessage, Sequence[Any] | None] | None = None

    def answer(
        self, ai_message: str | AIMessage, tools_output_list: Sequence[Any] | None = None
    ) -> None:
        """Say what was answered. It is recorded when the block ends; the last one counts."""
        self._answer = ai_message, tools_output_list

    def __enter__(self) -> TurnBlock:
        started = turns.start(
            self._stream_id,
            self._human,
            user=self._user,
            turn_id=self._asked,
            prompt=self._prompt,
            metadata=self._metadata,
        )
        self.turn_id = started.turn_id
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            told = {"type": type(error).__name__, "text": str(error)}
            cancelled = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
            self._fail("cancelled" if cancelled else "failed", told)
        elif self._answer is None:
            told = {"type": "NoAnswer", "text": "the block ended without answer()"}
            self._fail("failed", told)
            raise ArgumentError("answer", "a call of turn.answer() within the block", None)
        else:
            answer, tools = self._answer
            turns.record(
                self._stream_id,
                self._human,
                answer,
                tools,
                user=self._user,
                turn_id=self.turn_id,
                metadata=self._metadata,
            )

    def _fail(self, outcome: Outcome, error: Mapping[str, str]) -> None:
        answer, tools = self._answer or (None, None)
        turns.fail(
            self._stream_id,
            self.turn_id,
            outcome,
            error=error,
            ai_message=answer,
            tools_output_list=tools,
        )

    async def __aenter__(self) -> TurnBlock:
        await in_database_thread(self.__enter__)()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A task that is cancelled again must not leave the turn open: the thread goes on.
        await asyncio.shield(in_database_thread(self.__exit__)(kind, error, traceback))
