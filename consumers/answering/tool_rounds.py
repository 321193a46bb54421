"""Runs the tools that a model has called in one round: at once, within limits, each on its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..mixins.limits import Limits
from .steps import Answer, ToolFinished, ToolStarted
from .tool_calls import Called, call_tool, refused

if TYPE_CHECKING:
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import BaseTool


async def call_tools(
    answer: Answer,
    tools: Mapping[str, BaseTool],
    calls: Sequence[tuple[int, Any]],
    limits: Limits,
    told: dict[int, ToolMessage],
    refusals: Mapping[int, str],
) -> AsyncGenerator[ToolStarted | ToolFinished]:
    """Run the calls, at most `limits.concurrency` at once; fill `answer` and, with what the model
    is told, `told`.

    Each comes with its number in the turn. Yields each call's start and end as it happens. A call
    with one of the `refusals`, which say why, and calls beyond the limit of the turn are not run:
    the model is told so.
    """
    happened: asyncio.Queue[ToolStarted | tuple[int, Called] | asyncio.Task[None]] = asyncio.Queue()
    free = asyncio.Semaphore(limits.concurrency)

    async def run(number: int, call: Any) -> None:
        async with free:
            happened.put_nowait(ToolStarted(number, call["name"] or "", call["args"]))
            if number in refusals:
                called = refused(call, refusals[number])
                called.output["rejected"] = number in answer.rejected
            elif number < limits.tool_calls:
                called = await call_tool(tools, call, limits)
            else:
                called = refused(call, _TOO_MANY.format(limits.tool_calls))
            happened.put_nowait((number, called))

    running = [asyncio.create_task(run(number, call)) for number, call in calls]
    for task in running:
        task.add_done_callback(happened.put_nowait)
    left = len(calls)
    try:
        while left:
            match await happened.get():
                case asyncio.Task() as task:
                    task.result()  # Raises what is nobody's to catch here.
                case ToolStarted() as step:
                    yield step
                case number, called:
                    answer.outputs[number] = called.output
                    told[number] = called.message
                    left -= 1
                    yield ToolFinished(number, called.output, called.shown)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


_TOO_MANY = (
    "This call was not run: a turn may call tools {} times at most, and has. Answer with what you"
    " have."
)
