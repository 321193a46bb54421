"""Tasks of the process, and work that must be brought to its end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from django.db import InterfaceError, OperationalError

from .. import failures

logger = logging.getLogger("turnlog")

GIVE_UP_SECONDS = 600.0

turns: set[asyncio.Task[None]] = set()
"""Turns under way; a server that is told to stop waits for them."""
beside: set[asyncio.Task[None]] = set()
"""What runs beside turns, and may be dropped."""


def spawn(
    coroutine: Coroutine[Any, Any, None], holder: set[asyncio.Task[None]]
) -> asyncio.Task[None]:
    """Run something as a task of the process, outliving the connection that asked for it."""
    # A context of its own: a request's would tie it to that request's connection and language.
    task = asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
    holder.add(task)  # The loop itself keeps only a weak reference.

    def ended(task: asyncio.Task[None]) -> None:
        holder.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("a task ended with an error: %s", failures.where(error))

    task.add_done_callback(ended)
    return task


async def to_the_end(make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run something that must happen, though the task is cancelled and the database away.

    A query goes on when its await is cancelled, so it is not; and what has been said is not given
    up because the database is restarting, but tried again for ten minutes.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + GIVE_UP_SECONDS
    pause = 0.5
    while True:
        inner = loop.create_task(make())
        while not inner.done():
            try:
                await asyncio.shield(asyncio.wait([inner]))
            except asyncio.CancelledError:
                continue
        if inner.cancelled():
            raise RuntimeError("what had to be recorded was cancelled from within")
        error = inner.exception()
        if error is None or not _is_away(error) or loop.time() > give_up:
            return inner.result()
        logger.warning("the database is away, trying again: %s", failures.where(error))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(pause)
        pause = min(5.0, 2 * pause)


def _is_away(error: BaseException) -> bool:
    return isinstance(error, OperationalError | InterfaceError)
