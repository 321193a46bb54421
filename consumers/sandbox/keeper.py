"""The thread that starts workers, and ends them once they have been idle for long.

The kernel ends a worker with the *thread* that started it (PR_SET_PDEATHSIG, prctl(2)). So this is
a thread that lives as long as the process, and not one of a pool's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")

logger = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two looks for idle workers."""


class Keeper:
    """Runs functions, one after the other, in a thread that only the process's end ends."""

    def __init__(self, every_tick: Callable[[], object]) -> None:
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._every_tick = every_tick
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._forget)

    def call(self, function: Callable[[], R]) -> R:
        """Run a function in that thread, and return or raise what it does."""
        with self._lock:
            if self._thread is None:
                name = "turnlog-sandbox-keeper"
                self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
                self._thread.start()
        future: Future[R] = Future()
        self._work.put((future, function))
        return future.result()

    def _keep(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                future, function = self._work.get(timeout=TICK)
                try:
                    future.set_result(function())
                except Exception as error:  # noqa: BLE001 - the caller raises it
                    future.set_exception(error)
            try:
                self._every_tick()
            except Exception:
                # Whoever needs a worker needs this thread.
                logger.exception("idle sandboxes could not be ended; this is tried again")

    def _forget(self) -> None:
        # A forked process has none of its parent's threads, and must not touch its workers.
        self._work, self._lock, self._thread = queue.SimpleQueue(), threading.Lock(), None
