"""One try of a call of the model: what streams in, and how it ended."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any

from ...core.errors import ModelError
from ...core.sendable import ids_of
from ...core.wellformed import TextStream
from ...events.rounds import FailedCall
from .. import failures
from ..endings import Ending, NoAnswer, ending_of, reason_of
from ..thoughts import Parts
from .reply import Reply, with_ids
from .steps import Step, TextDelta, ThinkingDelta
from .wire import Noted, noted

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

logger = logging.getLogger("turnlog")

# These endings are a fault of the moment, if nothing has come of the call.
_FAULTS = (Ending.EMPTY, Ending.FAILED, Ending.TRUNCATED)
_NO_TEXT = (UnicodeDecodeError, JSONDecodeError)
# What clients raise that take for granted what their protocol says.
_STUMBLES = (AttributeError, TypeError, LookupError, ValueError, RecursionError)


class UnreadableAnswer(ModelError):
    """The model's server sent something that is not what its protocol says."""

    kind = "unreadable"


class ModelTry:
    """Calls a model once. Afterwards `message` is what it gave, or `error` why it gave none.

    `tool_calls` is how many tool calls the turn has made before.
    """

    def __init__(self, runnable: Any, tool_calls: int) -> None:
        self.message: AIMessage | None = None
        self.ending = Ending.TRUNCATED
        self.error: Exception | None = None
        self._told: dict[str, str] = {}
        self.came = self.spoke = False
        """Whether anything was yielded, and whether any words of the answer were."""
        self._runnable, self._tool_calls = runnable, tool_calls
        self._reply, self._seen = Reply(), Noted()
        self._begun = time.monotonic()
        self.seconds = 0.0

    async def steps(self, conversation: Sequence[Any], gap: str) -> AsyncGenerator[Step]:
        """Yield what the model thinks and says as it comes; the first words behind `gap`."""
        self._begun = time.monotonic()
        try:
            async with contextlib.aclosing(self._parts(conversation)) as parts:
                async for thought, text in parts:
                    self.came = True
                    if thought:
                        yield ThinkingDelta(text)
                    else:
                        yield TextDelta(text if self.spoke else gap + text)
                        self.spoke = True
            self._end(conversation)
        except Exception as error:  # noqa: BLE001 - models and their clients raise anything
            self.error, self._told = error, await failures.described(error)
            stumbled = self._seen.answered and self._told["kind"] == "error"
            if isinstance(error, _NO_TEXT) or (stumbled and isinstance(error, _STUMBLES)):
                found = f"{self._told['type']}: {self._told['text']}"
                self.error = UnreadableAnswer(f"expected the stream of an answer, found {found}")
                self.error.__cause__ = error
                self._told = failures.describe(self.error)
        finally:
            self.seconds = round(time.monotonic() - self._begun, 3)

    def fault(self, said: str) -> Exception | None:
        """Return why there is no answer, if `said` is what the turn has said before."""
        if self.message is None or self.ending not in _FAULTS:
            return self.error
        if self.ending is Ending.EMPTY and said:
            return None  # It had said it all before it called its last tool.
        return NoAnswer(self.ending, reason_of(self.message.response_metadata))

    def told(self, error: Exception) -> dict[str, str]:
        """Return what the log keeps of this try's fault."""
        return self._told if error is self.error else failures.describe(error)

    def failed(self, model: str) -> FailedCall:
        """Return this try as it is recorded if another one follows."""
        error = self.fault("")
        told = self.told(error) if error is not None else {}
        return FailedCall(model, told, self.seconds, self.message or self.so_far())

    def so_far(self) -> AIMessage | None:
        """Return as much of a message as had come before the call broke off."""
        try:
            return self._reply.message(self._seen)
        except Exception as error:  # noqa: BLE001 - LangChain adds up what the provider sent
            logger.warning("a part of a call is not kept: %s", failures.where(error))
            return None

    async def _parts(self, conversation: Sequence[Any]) -> AsyncGenerator[tuple[bool, str]]:
        """Call the model; yield what comes, and put everything into the reply."""
        stream, parts, thinks = TextStream(), Parts(), False
        # A generator's context is that of whoever asks for its next item: this turn's task.
        noted.set(self._seen)
        async with contextlib.aclosing(self._runnable.astream(conversation)) as chunks:
            async for chunk in chunks:
                chunk = self._seen.completed(chunk)
                self._reply.add(chunk)
                for thought, text in parts.of(chunk):
                    if thought != thinks and (rest := stream.end()):
                        yield thinks, rest
                    thinks = thought
                    if came := stream.feed(text):
                        yield thought, came
        if rest := stream.end():
            yield thinks, rest

    def _end(self, conversation: Sequence[Any]) -> None:
        message = self._reply.message(self._seen)
        if message is None:
            raise NoAnswer(Ending.EMPTY)
        self.message = with_ids(message, self._tool_calls, ids_of(conversation))
        finished = self._seen.done or bool(self._seen.finish_reason)
        self.ending = Ending.FAILED if self._seen.failed else ending_of(message, finished=finished)
