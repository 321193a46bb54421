"""Runs one tool call. Whatever the tool does, the turn goes on.

A plain function runs in a thread of its own, which gives back its database connections. A thread
cannot be stopped: if the tool does not end in time, its thread is left alone, and does not hold up
the end of the process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.asynchronous import closing_connections, in_thread, tidy_shared_thread
from ...core.daemons import in_daemon
from ...core.escaped import name_of, origin_of
from ...core.sendable import DEEPEST
from ...core.wellformed import clipped
from .. import failures
from ..mixins.limits import Limits
from . import tool_threads
from .contained import contained
from .tool_values import NotKept, ToolValue, is_async, keeping, value_of

if TYPE_CHECKING:
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import BaseTool

logger = logging.getLogger("turnlog")


class Called(NamedTuple):
    """An item of the completion hook's `tools_output_list`, the model's message, and the output as
    text for people."""

    output: dict[str, Any]
    message: ToolMessage
    shown: str


async def call_tool(tools: Mapping[str, BaseTool], call: Any, limits: Limits) -> Called:
    """Run a call within limits of time and size. If it fails, the model is told why."""
    tool = tools.get(call["name"])
    if tool is None:
        there = ", ".join(tools) or "none"
        name = clipped(call["name"] or "(without a name)", _LONGEST_NAME)
        return refused(call, f"There is no tool named {name}. The tools are: {there}.")
    if not isinstance(call["args"], dict):
        why = f"The input is not a JSON object of at most {DEEPEST} levels: {call['args']}"
        return refused(call, why)
    asked = {**call, "type": "tool_call"}
    running: asyncio.Future[ToolValue]
    begun = time.monotonic()
    try:
        kept = keeping(tool)
        if is_async(tool):
            await tidy_shared_thread()
            # A task of its own, so that it can be left behind.
            running = asyncio.ensure_future(_on_the_loop(kept, asked, limits))
        else:
            give_back = await tool_threads.take()
            if give_back is None:
                logger.warning("%s was not run: tools that do not end hold its threads", tool.name)
                return refused(call, _NO_THREAD)
            begun = time.monotonic()
            running = in_daemon(partial(_here, kept, asked, limits), "turnlog-tool", give_back)
        found = await _in_time(running, limits.tool_seconds)
    except Exception as error:  # noqa: BLE001 - a tool may be of any class
        found = await _told(error)
    return _called(call, found, time.monotonic() - begun)


_NO_THREAD = (
    "This call was not run: too many tools are running that have not ended. Try again later, or"
    " answer with what you have."
)


def refused(call: Any, why: str) -> Called:
    """Return what comes of a call that is not run."""
    return _called(call, _failure(why), 0.0)


# An exception may quote whatever the tool was given.
_LONGEST_FAILURE = 10_000
_LONGEST_NAME = 200


def _failure(text: str) -> ToolValue:
    text = clipped(text, _LONGEST_FAILURE)
    return ToolValue(text, text, text, failed=True)


def _called(call: Any, found: ToolValue, seconds: float) -> Called:
    from langchain_core.messages import ToolMessage

    name, call_id = call["name"], call["id"]
    same = isinstance(found.value, str) and found.value == found.content
    output = {
        "tool": name,
        "tool_call_id": call_id,
        "input": call["args"],
        "output": found.value,
        # What the model read, if that is not the output itself.
        "text": None if same else found.content,
        "status": "error" if found.failed else "ok",
        "duration": round(seconds, 3),
    }
    message = ToolMessage(
        found.content,
        tool_call_id=call_id,
        name=name,
        status="error" if found.failed else "success",
    )
    return Called(output, message, found.shown)


async def _in_time(running: asyncio.Future[ToolValue], seconds: float | None) -> ToolValue:
    try:
        done, _ = await asyncio.wait({running}, timeout=seconds)
    finally:
        if not running.done():
            _leave(running)
    if not done:
        return _failure(f"The tool did not end within {seconds:g} seconds.")
    if running.cancelled():
        return _failure("CancelledError")  # It has cancelled its own task.
    return running.result()


async def _on_the_loop(tool: BaseTool, call: Any, limits: Limits) -> ToolValue:
    try:
        result = await contained(tool.ainvoke(call))
        return await in_thread(partial(value_of, result, limits))
    except Exception as error:  # noqa: BLE001 - a tool may raise anything
        return await _told(error)
    finally:
        _keep(asyncio.ensure_future(tidy_shared_thread()))


def _here(tool: BaseTool, call: Any, limits: Limits) -> ToolValue:
    """Run a tool in this thread. Here it also says what it raises, within its time."""
    try:
        with closing_connections():
            return value_of(tool.invoke(call), limits)
    except BaseException as error:  # noqa: BLE001 - a tool may raise anything
        return _why(error)


async def _told(error: Exception) -> ToolValue:
    return await failures.in_time(partial(_why, error), _failure(name_of(error)))


def _why(error: BaseException) -> ToolValue:
    if type(error) is NotKept:
        return _failure(str(error))._replace(value=None)
    return _failure(failures.told(origin_of(error)))


def _leave(task: asyncio.Future[Any]) -> None:
    """Stop waiting for a tool; it may go on, or never notice."""
    task.cancel()
    _keep(task)


def _keep(task: asyncio.Future[Any]) -> None:
    _left.add(task)  # The loop itself keeps only a weak reference.
    task.add_done_callback(_ended)


def _ended(task: asyncio.Future[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # Nobody waits for it any more: it is not an error of the loop's.


_left: set[asyncio.Future[Any]] = set()
