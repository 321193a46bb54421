"""One turn of a model with tools: a plain loop over what the model streams.

It knows nothing about sockets or the log. The caller keeps what has been produced so far.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.errors import ModelError
from ...core.wellformed import TextStream
from ...events.rounds import calls_of
from ..endings import Ending, NoAnswer, ending_of, reason_of, refusal_of
from .binding import with_tools
from .reply import Reply
from .tool_calls import call_tool
from .wire import Noted, noted

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.tools import BaseTool


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is about to run. `number` counts the turn's tool calls from 0."""

    number: int
    tool: str
    input: Any


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """What a tool returned: an item of the completion hook's `tools_output_list`, and as text."""

    number: int
    output: dict[str, Any]
    shown: str


Step = TextDelta | ToolStarted | ToolFinished


class TooManyRounds(ModelError):
    """The model kept calling tools."""


@dataclass
class Answer:
    """A turn's answer as it grows; it can be recorded at any moment.

    `rounds` holds what each call of the model gave, as its provider gave it. `tools_at` holds, for
    each tool call, the number of characters of the text before it.
    """

    text: str = ""
    rounds: list[AIMessage] = field(default_factory=list)
    tools_output_list: list[dict[str, Any]] = field(default_factory=list)
    tools_at: list[int] = field(default_factory=list)
    message: AIMessage | None = None
    """The whole answer, once the model has ended."""

    def partial_message(self) -> AIMessage | None:
        """Return the answer so far; None if there is none."""
        from langchain_core.messages import AIMessage

        return self.message or (AIMessage(self.text) if self.text else None)


async def run(
    answer: Answer,
    llm: BaseChatModel,
    messages: Sequence[BaseMessage],
    tools: Sequence[BaseTool] = (),
    *,
    max_rounds: int,
    tool_seconds: float | None = None,
) -> AsyncGenerator[Step]:
    """Let the model answer and run the tools it calls; fill `answer` and yield each step.

    A tool call is given up after `tool_seconds`. Raises ModelError, and anything that the model's
    client raises.
    """
    by_name = {tool.name: tool for tool in tools}
    runnable = with_tools(llm, tools)
    conversation: list[Any] = list(messages)
    gap = ""
    for _round in range(max_rounds):
        reply, seen = Reply(), Noted()
        async with contextlib.aclosing(_text_of(runnable, conversation, reply, seen)) as pieces:
            async for text in pieces:
                answer.text += gap + text
                yield TextDelta(gap + text)
                gap = ""
        message = reply.message(seen)
        if message is None:
            raise NoAnswer(Ending.EMPTY)
        message = _with_ids(message, len(answer.tools_at))
        answer.rounds.append(message)
        ending = ending_of(message, finished=seen.done or bool(seen.finish_reason))
        if seen.failed:
            ending = Ending.FAILED
        calls = calls_of(message)
        if ending is Ending.PAUSED:
            conversation.append(message)
            continue
        if ending is Ending.DECLINED and (words := refusal_of(message)):
            answer.text += gap + words
            yield TextDelta(gap + words)
        if ending is not Ending.WHOLE or not calls:
            _require_answer(answer, message, ending)
            answer.message = _final(answer)
            return
        conversation.append(message)
        # What is said after a tool is a new paragraph.
        gap = "\n\n" if answer.text else ""
        for call in calls:
            number = len(answer.tools_at)
            answer.tools_at.append(len(answer.text))
            yield ToolStarted(number, call["name"] or "", call["args"])
            called = await call_tool(by_name, call, tool_seconds)
            answer.tools_output_list.append(called.output)
            conversation.append(called.message)
            yield ToolFinished(number, called.output, called.shown)
    raise TooManyRounds(f"the model called tools {max_rounds} times without answering")


async def _text_of(
    runnable: Any, conversation: Sequence[Any], reply: Reply, seen: Noted
) -> AsyncGenerator[str]:
    """Call the model; yield the text as it comes, and put everything into `reply` and `seen`."""
    text = TextStream()
    # A generator's context is that of whoever asks for its next item: this turn's task.
    noted.set(seen)
    async with contextlib.aclosing(runnable.astream(conversation)) as chunks:
        async for chunk in chunks:
            reply.add(chunk)
            if said := text.feed(str(chunk.text)):
                yield said
    if rest := text.end():
        yield rest


def _with_ids(message: AIMessage, number: int) -> AIMessage:
    """Return a message whose calls all have ids: some servers give none, and none accepts that."""
    changes: dict[str, Any] = {}
    for name in ("tool_calls", "invalid_tool_calls"):
        calls: list[Any] = getattr(message, name)
        if any(not call["id"] for call in calls):
            changes[name] = [
                {**call, "id": call["id"] or f"call{number + place:05}"}
                for place, call in enumerate(calls)
            ]
    return message.model_copy(update=changes) if changes else message


def _require_answer(answer: Answer, message: AIMessage, ending: Ending) -> None:
    """Raise NoAnswer unless there is an answer to keep: whole, or cut at a limit of tokens."""
    reason = reason_of(message.response_metadata)
    if ending is Ending.EMPTY and answer.text:
        return  # The model had said it all before it called its last tool.
    if ending is Ending.LENGTH and str(message.text).strip() and not calls_of(message):
        return
    if ending is not Ending.WHOLE:
        raise NoAnswer(ending, reason)


def _final(answer: Answer) -> AIMessage:
    """Return the last round's message; if there were several, with the text and usage of all."""
    from langchain_core.messages.ai import add_usage

    last = answer.rounds[-1]
    if len(answer.rounds) == 1:
        return last
    told = [message.usage_metadata for message in answer.rounds if message.usage_metadata]
    usage = functools.reduce(add_usage, told, None) if told else None
    changes: dict[str, Any] = {
        "content": answer.text,
        "usage_metadata": usage,
        "tool_calls": [],
        "invalid_tool_calls": [],
    }
    return last.model_copy(update=changes)
