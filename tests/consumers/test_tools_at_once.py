"""The calls of one round run at once, within the turn's limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool

from tests.project.models_for_tests import ScriptedModel
from turnlog.consumers.answering import agent
from turnlog.consumers.answering.steps import Answer, Step, ToolFinished, ToolStarted
from turnlog.consumers.mixins.limits import Limits
from turnlog.consumers.mixins.tools import as_tools

pytestmark = pytest.mark.slow_once


def calls(name: str, *args: dict[str, Any]) -> AIMessageChunk:
    """One reply that makes these calls."""
    made = [{"name": name, "args": one, "id": f"c{n}"} for n, one in enumerate(args)]
    return AIMessageChunk("", tool_calls=made, chunk_position="last")


async def steps_of(
    answer: Answer, model: ScriptedModel, tools: Any, limits: Limits | None = None
) -> list[Step]:
    steps = agent.run(answer, model, [HumanMessage("x")], as_tools(tools), limits=limits)
    return [step async for step in steps if isinstance(step, ToolStarted | ToolFinished)]


class Turnstile:
    """Tool calls that wait to be let through, one by one."""

    def __init__(self, order: list[int]) -> None:
        self.order = order
        self.running = self.most = 0
        self._gates = {number: asyncio.Event() for number in order}
        self._here: set[int] = set()

    async def wait(self, number: int) -> int:
        """Wait for this number's turn among those that are here."""
        self.running += 1
        self.most = max(self.most, self.running)
        self._here.add(number)
        self._let_through()
        await self._gates[number].wait()
        self.running -= 1
        return number

    def _let_through(self) -> None:
        for number in [*self.order]:
            if number in self._here:
                self.order.remove(number)
                self._gates[number].set()


@given(order=st.permutations(range(6)), concurrency=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_what_is_told_is_in_the_order_of_the_calls(order: list[int], concurrency: int) -> None:
    async def turn() -> None:
        gates = Turnstile(order)

        async def wait(number: int) -> int:
            """Waits."""
            return await gates.wait(number)

        asked = [{"number": n} for n in range(6)]
        model = ScriptedModel(replies=[[calls("wait", *asked)], ["done"]], seen=[])
        answer = Answer()
        steps = await steps_of(answer, model, [wait], Limits(concurrency=concurrency))
        assert [m.content for m in model.seen[1][2:]] == [str(n) for n in range(6)]
        assert [output["input"] for output in answer.tools_output_list] == asked
        assert [s.number for s in steps if isinstance(s, ToolStarted)] == [*range(6)]
        assert {s.number for s in steps if isinstance(s, ToolFinished)} == {*range(6)}
        assert gates.most <= concurrency

    asyncio.run(turn())


async def test_calls_of_a_round_wait_for_one_another() -> None:
    meeting = asyncio.Barrier(3)

    async def meet(number: int) -> int:
        """Ends once all three are there."""
        await meeting.wait()
        return number

    model = ScriptedModel(replies=[[calls("meet", *({"number": n} for n in range(3)))], ["ok"]])
    answer = Answer()
    async with asyncio.timeout(30):
        await steps_of(answer, model, [meet])
    assert answer.text == "ok"


async def test_what_has_ended_is_kept_when_somebody_stops() -> None:
    second_ended = asyncio.Event()

    async def work(number: int) -> int:
        """Only the second ends."""
        if number != 1:
            await asyncio.Event().wait()
        return number

    model = ScriptedModel(replies=[[calls("work", *({"number": n} for n in range(3)))]])
    answer = Answer()

    async def consume() -> None:
        async for step in agent.run(answer, model, [HumanMessage("x")], as_tools([work])):
            if isinstance(step, ToolFinished):
                second_ended.set()

    task = asyncio.create_task(consume())
    await second_ended.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [output] = answer.tools_output_list
    assert output["tool_call_id"] == "c1"
    assert answer.metadata["tools_at"] == [0]


async def test_calls_beyond_the_limit_are_not_run() -> None:
    ran = []

    def count(number: int) -> int:
        """Counts."""
        ran.append(number)
        return number

    asked = [{"number": n} for n in range(5)]
    model = ScriptedModel(replies=[[calls("count", *asked)], [calls("count", *asked)], ["enough"]])
    answer = Answer()
    await steps_of(answer, model, [count], Limits(tool_calls=3))
    assert sorted(ran) == [0, 1, 2]
    assert [output["status"] for output in answer.tools_output_list] == ["ok"] * 3 + ["error"] * 7
    assert "3 times at most" in model.seen[1][-1].content
    assert answer.text == "enough"


def long_text() -> str:
    """Much to read."""
    return "가" * 1_000


@tool(response_format="content_and_artifact")
def long_blocks() -> Any:
    """Much to read, in blocks, beside a small value."""
    picture = {"type": "image", "base64": "A" * 6_000, "mime_type": "image/png"}
    blocks = [{"type": "text", "text": "a" * 80}, picture, {"type": "text", "text": "b" * 80}]
    return blocks, 1


def too_much() -> bytes:
    """More than is kept."""
    return b"x" * 5_000


@pytest.mark.parametrize(
    ("one", "read", "status"),
    [
        (long_text, "가" * 100 + "\n[Cut here: 100 of 1000 characters.]", "ok"),
        (
            long_blocks,
            [
                {"type": "text", "text": "a" * 80},
                {"type": "text", "text": "[A block of type image is left out: 6057 bytes.]"},
                {"type": "text", "text": "b" * 20 + "\n[Cut here: 20 of 80 characters.]"},
            ],
            "ok",
        ),
        (too_much, "What the tool returned has 6", "error"),
    ],
)
async def test_how_much_of_an_output_is_read_and_kept(one: Any, read: Any, status: str) -> None:
    name = getattr(one, "name", None) or one.__name__
    model = ScriptedModel(replies=[[calls(name, {})], ["ok"]], seen=[])
    answer = Answer()
    await steps_of(answer, model, [one], Limits(tool_text=100, tool_output=5_000))
    [output] = answer.tools_output_list
    told = model.seen[1][-1].content
    assert output["status"] == status
    assert told.startswith(read) if status == "error" else told == read
