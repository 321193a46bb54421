"""Tasks of the process, and work that must be completed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from django.db import InterfaceError, OperationalError

from ...core import retrying
from ...events.store.faults import is_passing
from .. import failures

logger = logging.getLogger("turnlog")

turns: set[asyncio.Task[None]] = set()
"""Running turns; a server that is shutting down waits for them."""
beside: set[asyncio.Task[None]] = set()
"""Tasks that run beside turns and may be dropped."""


def spawn(
    coroutine: Coroutine[Any, Any, None], holder: set[asyncio.Task[None]]
) -> asyncio.Task[None]:
    """Run a coroutine as a task of the process: it outlives the connection that started it."""
    # A context of its own: a request's would tie it to that request's connection and language.
    task = asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
    holder.add(task)  # The loop itself keeps only a weak reference.

    def ended(task: asyncio.Task[None]) -> None:
        holder.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a task ended with an error: %s", failures.where(error))

    task.add_done_callback(ended)
    return task


def spawn_once(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a function as a task beside turns, unless it is running already in this loop."""
    running = _once.get(work)
    if running is None or running.done() or running.get_loop() is not asyncio.get_running_loop():
        _once[work] = spawn(work(), beside)


_once: dict[Callable[..., Any], asyncio.Task[None]] = {}


async def to_the_end(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run work that must be completed, even if the task is cancelled or the database is away.

    The work itself is not cancelled, because a query goes on when its await is cancelled. If the
    database is restarting, the work is tried again for ten minutes, so that no words are lost.
    """
    loop = asyncio.get_running_loop()
    pauses = retrying.RECORDING.pauses()
    while True:
        inner = loop.create_task(make())
        while not inner.done():
            try:
                await asyncio.shield(asyncio.wait([inner]))
            except asyncio.CancelledError:
                continue
        if inner.cancelled():
            raise RuntimeError("work that must be completed was cancelled from within")
        error = inner.exception()
        pause = next(pauses, None)
        if error is None or not _is_away(error) or pause is None:
            return inner.result()
        logger.warning("the database is unreachable, trying again: %s", failures.where(error))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(pause)


def _is_away(error: BaseException) -> bool:
    return isinstance(error, OperationalError | InterfaceError) and is_passing(error)
