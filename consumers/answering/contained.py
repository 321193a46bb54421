"""Runs a project's code (tools, hooks, models) so that whatever it raises stays an error of its
own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from ...core.escaped import Escaped

R = TypeVar("R")


async def contained(running: Awaitable[R]) -> R:
    """Await a project's code. Raises only Exceptions, unless this task itself is cancelled."""
    try:
        return await running
    except Exception:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise Escaped(f"{type(error).__name__} out of the code of a tool, hook or model") from error


_containing: ContextVar[bool] = ContextVar("turnlog_containing", default=False)


def contain_children() -> None:
    """From here on, what this task's children raise does not end the event loop either.

    A task that raises `SystemExit` ends the loop, whoever awaits it (`asyncio.gather`, a
    TaskGroup). So a tool's tasks are made to raise `Escaped` instead. Other tasks of the loop are
    made as before.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    _containing.set(True)
    if getattr(before, "contains", False):
        return

    def make(loop: Any, coroutine: Any, **more: Any) -> Any:
        if _containing.get() and asyncio.iscoroutine(coroutine):
            coroutine = _without_exit(coroutine)
        if before is None:
            return asyncio.Task(coroutine, loop=loop, **more)
        return before(loop, coroutine, **more)

    vars(make)["contains"] = True
    loop.set_task_factory(make)


async def _without_exit(coroutine: Coroutine[Any, Any, R]) -> R:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise Escaped(type(error).__name__) from error
