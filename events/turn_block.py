"""A turn as a `with` block, for code that calls a model by itself."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.asynchronous import in_database_thread
from ..core.errors import ArgumentError, CodecError
from . import turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import AIMessage, HumanMessage

    from .prompt import Prompt


class TurnBlock:
    """Commits the user's words when the block begins, and what became of them when it ends.

    With `answer()`, the turn is recorded. If the block raises, the turn is closed as `failed`, or
    as `cancelled` if it was cancelled, and the error goes on. It does so too if there is no answer,
    and if the answer cannot be stored.
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
        try:
            self._end(error)
        except BaseException as fault:
            self._fail(fault)
            raise

    def _end(self, error: BaseException | None) -> None:
        if error is not None:
            self._fail(error)
        elif self._answer is None:
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

    def _fail(self, error: BaseException) -> None:
        """Close the turn, if it is still open, with what of its answer can be stored."""
        cancelled = isinstance(error, asyncio.CancelledError | KeyboardInterrupt)
        answer, tools = self._answer or (None, None)
        for part in ((answer, tools), (answer, None), (None, tools), (None, None)):
            with contextlib.suppress(ArgumentError, CodecError):
                turns.fail(
                    self._stream_id,
                    self.turn_id,
                    "cancelled" if cancelled else "failed",
                    error={"type": type(error).__name__, "text": str(error)},
                    ai_message=part[0],
                    tools_output_list=part[1],
                )
                return

    async def __aenter__(self) -> TurnBlock:
        entering = asyncio.ensure_future(in_database_thread(self.__enter__)())
        try:
            return await asyncio.shield(entering)
        except asyncio.CancelledError as error:
            # The thread goes on, and no __aexit__ follows: what it began is closed here.
            await asyncio.shield(self._leave(entering, error))
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A task that is cancelled again must not leave the turn open: the thread goes on.
        await asyncio.shield(self._aend(error))

    async def _aend(self, error: BaseException | None) -> None:
        # Apart from what closes it: a lock that is not free makes the first call again.
        try:
            await in_database_thread(self._end)(error)
        except Exception as fault:
            await in_database_thread(self._fail)(fault)
            raise

    async def _leave(self, entering: asyncio.Future[TurnBlock], error: BaseException) -> None:
        await asyncio.wait([entering])
        if not entering.cancelled() and entering.exception() is None:
            await in_database_thread(self._fail)(error)
