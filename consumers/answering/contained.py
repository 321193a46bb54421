"""Runs a project's code (tools, hooks, models) so that whatever it raises stays an error of its
own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

R = TypeVar("R")


class Escaped(Exception):
    """Code raised what would have ended more than itself; the cause is what it raised.

    `SystemExit` and `KeyboardInterrupt` end the event loop, with everybody's answers. A
    `CancelledError` of its own looks as if somebody had stopped the turn.
    """


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
