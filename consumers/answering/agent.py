"""One turn of a model with tools: a plain loop over what the model streams.

It knows nothing about sockets or the log. The caller keeps what has been produced so far.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.errors import ModelError
from ...core.escaped import name_of, origin_of
from ...core.sendable import names_of, sendable
from ...events.rounds import calls_of
from ..endings import Ending, NoAnswer, reason_of, refusal_of
from ..mixins.limits import Limits
from .contained import contained
from .model_calls import Models
from .steps import Answer, Step, TextDelta
from .tool_rounds import call_tools

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
    from langchain_core.tools import BaseTool


logger = logging.getLogger("turnlog")


class TooManyRounds(ModelError):
    """The model kept calling tools."""


NeedsApproval = Callable[[str, Mapping[str, Any]], Awaitable[bool]]
"""Whether a call waits for a person, by the tool's name and the arguments."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Calls that waited for a person, with their numbers; why some of them are not to be run; and
    what the model is told of the other calls of their round, by number."""

    calls: Sequence[tuple[int, Any]]
    refusals: Mapping[int, str]
    told: Mapping[int, ToolMessage]


async def run(
    answer: Answer,
    llm: BaseChatModel,
    messages: Sequence[BaseMessage],
    tools: Sequence[BaseTool] = (),
    *,
    fallbacks: Sequence[BaseChatModel] = (),
    limits: Limits | None = None,
    approval: NeedsApproval | None = None,
    can_wait: bool = True,
    decided: Decided | None = None,
    offered: Sequence[Any] | None = None,
) -> AsyncGenerator[Step]:
    """Let the model answer and run the tools it calls; fill `answer` and yield each step.

    If the model cannot be called before anything came of the turn, `fallbacks` are called instead,
    one after the other. `approval` says which calls wait for a person: with such calls, the run
    ends, and they are `answer.held`; if nothing `can_wait`, they are not run. A run that goes on
    from there has them `decided`. The model is told of `offered`, tools or their schemas, if that
    is not `tools`. Raises ModelError, and anything that the model's client raises.
    """
    limits = limits or Limits()
    by_name = {tool.name: tool for tool in tools}
    offers = tools if offered is None else offered
    models = Models(answer, [llm, *fallbacks], offers, limits.retries)
    names = names_of(offers)
    conversation: list[Any] = [sendable(message, names) for message in messages]
    gap = ""
    told: dict[int, ToolMessage]
    if decided is not None:
        told = dict(decided.told)
        running = call_tools(answer, by_name, decided.calls, limits, told, decided.refusals)
        async with contextlib.aclosing(running) as tool_steps:
            async for tool_step in tool_steps:
                yield tool_step
        conversation += [sendable(told[number], names) for number in sorted(told)]
        gap = "\n\n" if answer.text else ""
    for _call in range(limits.model_calls - len(answer.messages)):
        async with contextlib.aclosing(models.call(conversation, gap)) as steps:
            async for step in steps:
                yield step
        tried = models.tried
        if (message := tried.message) is None:
            raise tried.error or NoAnswer(Ending.EMPTY)
        ending, calls = tried.ending, calls_of(message)
        gap = "" if tried.spoke else gap
        if ending is Ending.PAUSED:
            conversation.append(sendable(message, names))
            continue
        if ending is Ending.DECLINED and (words := refusal_of(message)):
            answer.text += gap + words
            yield TextDelta(gap + words)
        if ending is not Ending.WHOLE or not calls:
            _require_answer(answer, message, ending)
            answer.message = _final(answer)
            return
        conversation.append(sendable(message, names))
        # What is said after a tool is a new paragraph.
        gap = "\n\n" if answer.text else ""
        numbered = answer.numbered(calls)
        held = await _held(numbered, by_name, limits, approval)
        refusals = {} if can_wait else {number: _NOWHERE_TO_WAIT for number, _call in held}
        answer.held = held if can_wait else []
        free = [each for each in numbered if each not in answer.held]
        told = {}
        running = call_tools(answer, by_name, free, limits, told, refusals)
        async with contextlib.aclosing(running) as tool_steps:
            async for tool_step in tool_steps:
                yield tool_step
        conversation += [sendable(told[number], names) for number in sorted(told)]
        if answer.held:
            return
    raise TooManyRounds(f"the model called tools {limits.model_calls} times without answering")


_NOWHERE_TO_WAIT = (
    "This call was not run: a person would have to approve it, and this chat has no record in which"
    " it could wait."
)


async def _held(
    calls: Sequence[tuple[int, Any]],
    tools: Mapping[str, BaseTool],
    limits: Limits,
    approval: NeedsApproval | None,
) -> list[tuple[int, Any]]:
    """Return the calls that wait for a person. One that is not run anyway waits for nobody."""
    if approval is None:
        return []
    return [
        (number, call)
        for number, call in calls
        if call["name"] in tools
        and isinstance(call["args"], dict)
        and number < limits.tool_calls
        and await _waits(approval, call)
    ]


async def _waits(approval: NeedsApproval, call: Any) -> bool:
    try:
        return await contained(approval(call["name"], call["args"]))
    except Exception as error:  # noqa: BLE001 - it is the project's own, and may raise anything
        kind = name_of(origin_of(error))
        logger.error("approve_tools failed, so a call waits for a person: %s", kind)
        return True


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

    messages = answer.messages
    last = messages[-1]
    if len(messages) == 1:
        return last
    told = [message.usage_metadata for message in messages if message.usage_metadata]
    usage = functools.reduce(add_usage, told, None) if told else None
    changes: dict[str, Any] = {
        "content": answer.text,
        "usage_metadata": usage,
        "tool_calls": [],
        "invalid_tool_calls": [],
    }
    return last.model_copy(update=changes)
