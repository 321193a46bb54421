"""The loop of model and tools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage

from tests.project.models_for_tests import ScriptedModel, tool_call
from turnlog.consumers.answering import agent
from turnlog.consumers.answering.steps import (
    Answer,
    CallEnded,
    TextDelta,
    ToolFinished,
    ToolStarted,
)
from turnlog.consumers.answering.tool_values import decoded
from turnlog.consumers.endings import NoAnswer
from turnlog.consumers.mixins.limits import Limits
from turnlog.consumers.mixins.tools import as_tools


def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


def explode(number: int) -> int:
    """Always fails."""
    raise ValueError(f"no {number}")


async def run(model: ScriptedModel, tools: Any = (), **options: Any) -> tuple[Answer, list[Any]]:
    answer = Answer()
    messages = [HumanMessage("hello")]
    limits = Limits(**{"model_calls": 3, **options})
    steps = agent.run(answer, model, messages, as_tools(tools), limits=limits)
    return answer, [step async for step in steps if not isinstance(step, CallEnded)]


async def test_text_streams_as_it_comes() -> None:
    answer, steps = await run(ScriptedModel(replies=[["Hel", "", "lo"]]))
    assert steps == [TextDelta("Hel"), TextDelta("lo")]
    assert answer.message is not None
    assert answer.message.content == "Hello"


async def test_tools_run_and_the_model_reads_what_they_gave() -> None:
    model = ScriptedModel(
        replies=[["Let me see.", tool_call("double", {"number": 21})], ["It is 42."]]
    )
    answer, steps = await run(model, [double])
    assert [type(step) for step in steps] == [TextDelta, ToolStarted, ToolFinished, TextDelta]
    [output] = decoded(answer.tools_output_list)
    assert output["duration"] >= 0
    assert {**output, "duration": 0} == {
        "tool": "double",
        "tool_call_id": "call-1",
        "input": {"number": 21},
        "output": 42,
        "text": "42",
        "status": "ok",
        "duration": 0,
    }
    assert answer.text == answer.message.content == "Let me see.\n\nIt is 42."  # type: ignore[union-attr]
    assert answer.tools_at == [len("Let me see.")]
    assert answer.message.tool_calls == []  # type: ignore[union-attr]
    assert isinstance(model.seen[1][-1], ToolMessage)
    assert model.seen[1][-1].content == "42"


async def test_usage_is_that_of_all_rounds() -> None:
    def used(tokens: int) -> AIMessageChunk:
        usage = {"input_tokens": tokens, "output_tokens": 1, "total_tokens": tokens + 1}
        return AIMessageChunk("", usage_metadata=usage)  # type: ignore[arg-type]

    model = ScriptedModel(
        replies=[[used(10), tool_call("double", {"number": 1})], ["ok", used(20)]]
    )
    answer, _ = await run(model, [double])
    assert answer.message is not None
    assert answer.message.usage_metadata is not None
    assert answer.message.usage_metadata["total_tokens"] == 32


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (tool_call("explode", {"number": 7}), "ValueError: no 7"),
        (tool_call("nobody", {}), "There is no tool named nobody. The tools are: double, explode."),
    ],
)
async def test_a_tool_that_fails_is_the_models_to_deal_with(call: Any, said: str) -> None:
    model = ScriptedModel(replies=[[call], ["sorry"]])
    answer, _ = await run(model, [double, explode])
    [output] = answer.tools_output_list
    assert (output["status"], output["output"]) == ("error", said)
    assert model.seen[1][-1].content == said
    assert answer.text == "sorry"


async def test_arguments_that_are_no_json_are_told_to_the_model() -> None:
    broken = AIMessageChunk(
        "",
        tool_call_chunks=[{"name": "double", "args": "{oops", "id": "c", "index": 0}],
        chunk_position="last",
    )
    answer, _ = await run(ScriptedModel(replies=[[broken], ["ok"]]), [double])
    assert answer.tools_output_list[0]["status"] == "error"
    assert answer.text == "ok"


async def test_a_model_that_only_calls_tools_is_stopped() -> None:
    model = ScriptedModel(replies=[[tool_call("double", {"number": 1})] for _ in range(5)])
    with pytest.raises(agent.TooManyRounds):
        await run(model, [double], model_calls=2)
    assert len(model.seen) == 2


async def test_what_was_said_before_an_error_is_kept() -> None:
    model = ScriptedModel(replies=[["half", RuntimeError("gone")]])
    answer = Answer()
    with pytest.raises(RuntimeError):
        async for _ in agent.run(answer, model, [HumanMessage("x")]):
            pass
    partial = answer.partial_message()
    assert partial is not None
    assert partial.content == "half"


async def test_cancelling_ends_at_once_and_keeps_what_was_said() -> None:
    gate = asyncio.Event()
    model = ScriptedModel(replies=[["half", "never"]], gates={1: gate})
    answer = Answer()
    begun = asyncio.Event()

    async def consume() -> None:
        async for _ in agent.run(answer, model, [HumanMessage("x")]):
            begun.set()

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert answer.text == "half"


async def test_an_openai_answer_without_a_reason_to_end_was_cut() -> None:
    half = AIMessageChunk("half", response_metadata={"model_provider": "openai"})
    with pytest.raises(NoAnswer, match="cut in the middle"):
        await run(ScriptedModel(replies=[[half]]))
    whole = AIMessageChunk("", response_metadata={"finish_reason": "stop"})
    answer, _ = await run(ScriptedModel(replies=[[half, whole]]))
    assert answer.text == "half"
