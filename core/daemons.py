"""Threads for code that may never end: nobody has to wait for them, nor does the process."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from .escaped import contained_in_thread

R = TypeVar("R")


def in_daemon(
    work: Callable[[], R], name: str, ended: Callable[[], None] = lambda: None
) -> asyncio.Future[R]:
    """Run a function in a new thread; its result, or what it raised, can be awaited.

    `ended` is called on the event loop once the function has ended, awaited or not. The function
    sees the caller's context variables.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[R] = loop.create_future()

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
        except Exception as raised:  # noqa: BLE001 - it is the project's code
            error = raised
        with contextlib.suppress(RuntimeError):  # The loop has been closed meanwhile.
            loop.call_soon_threadsafe(finish, value, error)

    context = contextvars.copy_context()
    # As a daemon: the end of the process does not wait for it.
    thread = threading.Thread(target=context.run, args=(run,), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # The system has no more threads.
        ended()
        raise
    return result
