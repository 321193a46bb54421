"""A place's seat: its worker, and the calls that want it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from ...core.errors import SandboxRefused
from .worker import START_SECONDS, Worker

MOST_WAITING = 4
"""Calls that wait until another one of their place is done. Each holds a thread."""


class Seat:
    """A place's worker, if it has one now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        """Held while the worker is started, or runs code."""
        self.worker: Worker | None = None
        self.used = time.monotonic()
        self.is_ended = False
        """No worker is started here any more."""
        self._queue = threading.BoundedSemaphore(1 + MOST_WAITING)

    @property
    def is_busy(self) -> bool:
        """Whether code runs, or a worker is being started."""
        return self.lock.locked()

    @contextlib.contextmanager
    def taken(self, seconds: float) -> Iterator[None]:
        """Have the seat alone, after those who came before. Raises SandboxRefused."""
        busy = SandboxRefused("the sandbox is still busy with earlier code: try again")
        if not self._queue.acquire(blocking=False):
            raise busy
        try:
            if not self.lock.acquire(timeout=seconds + START_SECONDS):
                raise busy
            try:
                yield
            finally:
                self.used = time.monotonic()
                self.lock.release()
                self.empty_if_ended()
        finally:
            self._queue.release()

    def empty(self) -> None:
        """End the worker; whoever calls this has the seat."""
        if self.worker is not None:
            self.worker.end()
            self.worker = None

    def empty_if_ended(self) -> None:
        """End the worker of a seat that is ended, now or when whoever has the seat leaves it."""
        if self.is_ended and self.lock.acquire(blocking=False):
            try:
                self.empty()
            finally:
                self.lock.release()


class Call:
    """One run of code, as far as another thread may stop it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self.is_stopped = False

    def begin(self, worker: Worker) -> None:
        """Note which worker runs the code; kill it if the call was stopped meanwhile."""
        with self._lock:
            self._worker = worker
            if self.is_stopped:
                worker.kill()

    def done(self) -> None:
        """Note that the worker is not this call's any more."""
        with self._lock:
            self._worker = None

    def stop(self) -> None:
        """Kill the worker that runs the code; does not wait."""
        with self._lock:
            self.is_stopped = True
            if self._worker is not None:
                self._worker.kill()
