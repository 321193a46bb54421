"""Tasks of the process, and work that must be completed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ...core import retrying
from ...core.faults import is_passing
from .. import failures
from .contained import contained

logger = logging.getLogger("turnlog")

turns: set[asyncio.Task[None]] = set()
"""Running turns; a server that is shutting down waits for them."""
naming: set[asyncio.Task[None]] = set()
"""Tasks that name a conversation after a turn."""
beside: set[asyncio.Task[None]] = set()
"""Tasks that run beside turns and may be dropped."""


def spawn(
    coroutine: Coroutine[Any, Any, None],
    holder: set[asyncio.Task[None]],
    context: contextvars.Context | None = None,
) -> asyncio.Task[None]:
    """Run a coroutine as a task of the process: it outlives the connection that started it.

    It runs in an empty context unless it is given one: what it does for all must not depend on who
    came first.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(contained(coroutine), context=context or contextvars.Context())
    _hold(task, holder, "a task")
    return task


def _hold(task: asyncio.Task[Any], holder: set[asyncio.Task[Any]], what: str) -> None:
    holder.add(task)  # The loop itself keeps only a weak reference.

    def ended(task: asyncio.Task[Any]) -> None:
        holder.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("%s ended with an error: %s", what, failures.where(error))

    task.add_done_callback(ended)


def spawn_once(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a function as a task beside turns, unless it is running already in this loop."""
    running = _once.get(work)
    if running is None or running.done() or running.get_loop() is not asyncio.get_running_loop():
        _once[work] = spawn(work(), beside)


_once: dict[Callable[..., Any], asyncio.Task[None]] = {}


class CutOff(RuntimeError):
    """Work that must be completed was cancelled, as when its event loop ends."""


async def to_the_end(
    make: Callable[[], Awaitable[Any]],
    *,
    seconds: float | None = None,
    give_up: Callable[[], Awaitable[bool]] | None = None,
) -> Any:
    """Run work that must be completed, even if the task is cancelled or the database is away.

    The work itself is not cancelled, because a query goes on when its await is cancelled. If the
    database is restarting, the work is tried again for ten minutes, so that no words are lost.
    `give_up` is asked after each try that failed. Raises TimeoutError if a try takes more than
    `seconds`; what it runs may still go on then. Raises CutOff if the work itself was cancelled.
    """
    pauses = retrying.RECORDING.pauses()
    while True:
        inner = await _finished(make(), seconds)
        if inner.cancelled():
            raise CutOff("work that must be completed was cancelled from within")
        error = inner.exception()
        pause = next(pauses, None)
        if error is None or not is_passing(error) or pause is None:
            return inner.result()
        if give_up is not None and (await _finished(give_up(), None)).result():
            raise error
        logger.warning("the database is unreachable, trying again: %s", failures.where(error))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(pause)


async def _finished(work: Awaitable[Any], seconds: float | None) -> asyncio.Task[Any]:
    """Return the task of some work once it has ended, whatever happens to the caller's task."""
    loop = asyncio.get_running_loop()
    inner = loop.create_task(contained(work))
    until = None if seconds is None else loop.time() + seconds
    while not inner.done():
        left = None if until is None else until - loop.time()
        if left is not None and left <= 0:
            _hold(inner, beside, "work that was given up")
            raise TimeoutError(f"it did not end within {seconds:g} seconds")
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(asyncio.wait([inner], timeout=left))
    return inner
