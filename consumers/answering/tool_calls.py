"""Runs one tool call. Whatever the tool does, the turn goes on.

A plain function runs in a thread of its own, which gives back its database connections. A thread
cannot be stopped: if the tool does not end in time, its thread is left alone, and holds up neither
other tools nor the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from ...core.asynchronous import closing_connections, in_thread, tidy_shared_thread
from ...core.escaped import Escaped, contained_in_thread
from ...core.wellformed import clipped
from .. import failures
from ..mixins.limits import Limits
from .contained import contain_children, contained
from .tool_values import NotKept, ToolValue, is_async, keeping, value_of

if TYPE_CHECKING:
    from langchain_core.messages import ToolMessage
    from langchain_core.tools import BaseTool

_THREADS = 64
"""Threads that tools may have at once in a process, those that never end included."""


class Called(NamedTuple):
    """An item of the completion hook's `tools_output_list`, the model's message, and the output as
    text for people."""

    output: dict[str, Any]
    message: ToolMessage
    shown: str


async def call_tool(tools: Mapping[str, BaseTool], call: Any, limits: Limits) -> Called:
    """Run a call within limits of time and size. If it fails, the model is told why."""
    begun = time.monotonic()
    try:
        found = await _run(tools, call, limits)
    except NotKept as error:
        found = _failure(str(error))._replace(value=None)
    except Escaped as error:
        found = _failure(failures.told(error.__cause__ or error))
    except Exception as error:  # noqa: BLE001 - a tool may raise anything
        found = _failure(failures.told(error))
    return _called(call, found, time.monotonic() - begun)


def refused(call: Any, why: str) -> Called:
    """Return what comes of a call that is not run."""
    return _called(call, _failure(why), 0.0)


# An exception may quote whatever the tool was given.
_LONGEST_FAILURE = 10_000


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


async def _run(tools: Mapping[str, BaseTool], call: Any, limits: Limits) -> ToolValue:
    tool, seconds = tools.get(call["name"]), limits.tool_seconds
    if tool is None:
        there = ", ".join(tools) or "none"
        return _failure(f"There is no tool named {call['name']}. The tools are: {there}.")
    if not isinstance(call["args"], dict):
        return _failure(f"The input is not a JSON object: {call['args']}")
    asked = {**call, "type": "tool_call"}
    kept = keeping(tool)
    run = _in_a_thread
    if is_async(tool):
        run = _on_the_loop
        await tidy_shared_thread()
    # A task of its own, so that it can be left behind.
    task = asyncio.ensure_future(run(kept, asked, limits))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            _leave(task)
    if not done:
        return _failure(f"The tool did not end within {seconds:g} seconds.")
    if task.cancelled():
        return _failure("CancelledError")  # It has cancelled its own task.
    return task.result()


async def _on_the_loop(tool: BaseTool, call: Any, limits: Limits) -> ToolValue:
    contain_children()
    try:
        result = await contained(tool.ainvoke(call))
    finally:
        _keep(asyncio.ensure_future(tidy_shared_thread()))
    return await in_thread(partial(value_of, result, limits))


async def _in_a_thread(tool: BaseTool, call: Any, limits: Limits) -> ToolValue:
    loop = asyncio.get_running_loop()
    free = _free.setdefault(loop, asyncio.Semaphore(_THREADS))
    await free.acquire()

    def work() -> ToolValue:
        with closing_connections():
            return value_of(tool.invoke(call), limits)

    found: Awaitable[ToolValue] = _thread(work, free.release)
    return await found


_free: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _thread(work: Callable[[], Any], ended: Callable[[], None]) -> Awaitable[Any]:
    """Run a function in a new thread; its result, or what it raised, can be awaited."""
    loop = asyncio.get_running_loop()
    result = loop.create_future()

    def finish(value: Any, error: Exception | None) -> None:
        ended()
        if not result.done():
            if error is None:
                result.set_result(value)
            else:
                result.set_exception(error)

    def run() -> None:
        value: Any = None
        error: Exception | None = None
        try:
            value = contained_in_thread(work)()
        except Exception as raised:  # noqa: BLE001 - a tool may raise anything
            error = raised
        with contextlib.suppress(RuntimeError):  # The loop has been closed meanwhile.
            loop.call_soon_threadsafe(finish, value, error)

    context = contextvars.copy_context()
    # As a daemon: the end of the process does not wait for it.
    thread = threading.Thread(target=context.run, args=(run,), name="turnlog-tool", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # The system has no more threads.
        ended()
        raise
    return result


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
