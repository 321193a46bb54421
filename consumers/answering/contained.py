"""Runs a project's code (tools, hooks, models) so that whatever it raises stays an error of its
own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from ...core.escaped import Escaped, name_of

R = TypeVar("R")


async def contained(running: Awaitable[R]) -> R:
    """Await a project's code. Raises only Exceptions, unless this task itself is cancelled.

    What that code's own tasks raise is contained as well.
    """
    contain_children()
    try:
        return await running
    except Exception:
        raise
    except BaseException as error:
        task = asyncio.current_task()
        own = issubclass(type(error), asyncio.CancelledError)
        if own and task is not None and task.cancelling():
            raise
        raise Escaped(f"{name_of(error)} out of the code of a tool, hook or model") from error


_containing: ContextVar[bool] = ContextVar("turnlog_containing", default=False)


def contain_children() -> None:
    """From here on, what this task's children raise does not end the event loop either.

    A task that raises `SystemExit` ends the loop, whoever awaits it (`asyncio.gather`, a
    TaskGroup, LangChain's `ainvoke` of a model that does not stream). So the tasks of a project's
    code are made to raise `Escaped` instead. Other tasks of the loop are made as before.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    _containing.set(True)
    if getattr(before, "contains", False):
        return

    def make(loop: Any, coroutine: Any, **more: Any) -> Any:
        if _containing.get() and asyncio.iscoroutine(coroutine):
            coroutine = _WithoutExit(coroutine)
        if before is None:
            return asyncio.Task(coroutine, loop=loop, **more)
        return before(loop, coroutine, **more)

    vars(make)["contains"] = True
    loop.set_task_factory(make)


class _WithoutExit(Coroutine[Any, Any, Any]):
    """A coroutine that raises `Escaped` instead of what ends an event loop.

    Not a coroutine around it: if its task is cancelled before it begins, the one inside would never
    be awaited, and Python would warn of it.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        try:
            return self._coroutine.send(value)
        except (SystemExit, KeyboardInterrupt) as error:
            raise Escaped(name_of(error)) from error

    def throw(self, *raised: Any) -> Any:
        try:
            return self._coroutine.throw(*raised)
        except (SystemExit, KeyboardInterrupt) as error:
            raise Escaped(name_of(error)) from error

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Any:
        return self._coroutine.__await__()
