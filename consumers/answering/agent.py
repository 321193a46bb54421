"""One turn of a model with tools: a plain loop over what the model streams.

It knows nothing about sockets or the log. The caller keeps what has been produced so far.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.errors import ModelError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
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
    """What a tool returned: an item of the completion hook's `tools_output_list`."""

    number: int
    output: dict[str, Any]


Step = TextDelta | ToolStarted | ToolFinished


class TruncatedAnswer(ModelError):
    """The connection to the model ended in the middle of its answer."""


class TooManyRounds(ModelError):
    """The model kept calling tools."""


@dataclass
class Answer:
    """A turn's answer as it grows; it can be recorded at any moment.

    `tools_at` holds, for each tool call, the number of characters of the text before it.
    """

    text: str = ""
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
) -> AsyncIterator[Step]:
    """Let the model answer and run the tools it calls; fill `answer` and yield each step.

    Raises ModelError, and anything that the model's client raises.
    """
    from langchain_core.messages import message_chunk_to_message
    from langchain_core.messages.ai import add_usage

    by_name = {tool.name: tool for tool in tools}
    runnable = llm.bind_tools(list(tools)) if tools else llm
    conversation = list(messages)
    usage = None
    for _round in range(max_rounds):
        reply: Any = None
        said_before = answer.text
        async for chunk in runnable.astream(conversation):
            reply = chunk if reply is None else reply + chunk
            if text := chunk.text:
                # Two rounds of text are two paragraphs.
                gap = "\n\n" if said_before and answer.text == said_before else ""
                answer.text += gap + text
                yield TextDelta(gap + text)
        message: Any = None if reply is None else message_chunk_to_message(reply)
        _require_whole(llm, message)
        usage = add_usage(usage, message.usage_metadata)
        if not (message.tool_calls or message.invalid_tool_calls):
            answer.message = _final(message, answer.text, usage)
            return
        conversation.append(message)
        for call in [*message.tool_calls, *message.invalid_tool_calls]:
            number = len(answer.tools_at)
            answer.tools_at.append(len(answer.text))
            yield ToolStarted(number, call["name"] or "", call["args"])
            output, tool_message = await _call(by_name, call)
            answer.tools_output_list.append(output)
            conversation.append(tool_message)
            yield ToolFinished(number, output)
    raise TooManyRounds(f"the model called tools {max_rounds} times without answering")


async def _call(by_name: dict[str, BaseTool], call: Any) -> tuple[dict[str, Any], Any]:
    """Run one tool call. If it fails, the model is given the failure, and the turn continues."""
    from langchain_core.messages import ToolMessage

    name, call_id = call["name"] or "", call["id"] or ""
    begun = time.monotonic()
    tool = by_name.get(name)
    if tool is None:
        failure = f"There is no tool named {name}."
        result = ToolMessage(failure, tool_call_id=call_id, name=name, status="error")
    elif not isinstance(call["args"], dict):
        failure = f"The input is not a JSON object: {call['args']}"
        result = ToolMessage(failure, tool_call_id=call_id, name=name, status="error")
    else:
        try:
            result = await tool.ainvoke({**call, "id": call_id, "type": "tool_call"})
        except Exception as error:  # noqa: BLE001 - a tool may raise anything
            failure = f"{type(error).__name__}: {error}"
            result = ToolMessage(failure, tool_call_id=call_id, name=name, status="error")
    output = {
        "tool": name,
        "tool_call_id": call_id,
        "input": call["args"],
        # The tool's own result, if it is more than the text that the model reads.
        "output": result.content if result.artifact is None else result.artifact,
        "text": _text_beside(result),
        "status": "error" if result.status == "error" else "ok",
        "duration": round(time.monotonic() - begun, 3),
    }
    return output, result


def _text_beside(result: ToolMessage) -> str | None:
    """Return the text that the model reads, if the output is stored in another form; else None."""
    if result.artifact is None and isinstance(result.content, str):
        return None
    return str(result.text)


def _require_whole(llm: Any, message: Any) -> None:
    if message is None:
        raise TruncatedAnswer("the model ended its answer before it began")
    # To LangChain, a connection cut in mid-answer looks like an end; only the reason is missing.
    if _is_openai(llm) and not message.response_metadata.get("finish_reason"):
        raise TruncatedAnswer("the connection to the model was cut in the middle of its answer")


def _is_openai(llm: Any) -> bool:
    return any(cls.__name__ == "BaseChatOpenAI" for cls in type(llm).__mro__)


def _final(message: Any, text: str, usage: Any) -> AIMessage:
    """Return the last round's message, with the text and the usage of all rounds."""
    changes: dict[str, Any] = {"usage_metadata": usage}
    if isinstance(message.content, str):
        changes["content"] = text
    final: AIMessage = message.model_copy(update=changes)
    return final


@functools.cache
def import_langchain() -> None:
    """Import LangChain, which takes seconds: call it in a thread, ahead of the first turn."""
    import langchain_openai  # noqa: F401
