"""One worker: a process in a box, which runs one piece of code at a time."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import IO, Any, cast

from ...core.errors import SandboxRefused
from ...core.wellformed import wellformed
from . import answers, pictures
from .limits import LARGEST_CHART, MOST_CHARTS, MOST_LETTERS, Limits
from .outcome import Outcome, Table
from .pipe import Broken, Pipe
from .tiers import Started

START_SECONDS = 60.0
"""Time for a worker to import its libraries, on a machine that is busy."""
_GRACE = 1.5
"""Seconds that a worker has to end by itself what has taken too long."""


class Worker:
    """A process that has been started, and runs code once it is prepared."""

    def __init__(self, started: Started, limits: Limits) -> None:
        self.digest = ""
        """The content of the table that it has."""
        self._started, self._limits = started, limits
        self._threads = 0
        """Those of its libraries, Arrow's memory pool for one."""
        into, out = cast(IO[bytes], started.process.stdin), cast(IO[bytes], started.process.stdout)
        self._pipe = Pipe(into.fileno(), out.fileno())

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._started.process.poll() is None

    def prepare(self, until: float) -> list[str]:
        """Tell the worker what it is; return the ways out that it found. Raises Broken, Late."""
        self._pipe.send(self._started.setup, until)
        message, _ = self._pipe.receive(until, longest=100_000)
        if message.get("ready") is not True:
            raise Broken(str(message.get("why"))[:500])
        doors = message.get("open")
        if not isinstance(doors, list):
            raise Broken("the worker did not say what it tried")
        self._started.leave_folder()
        self._threads = self._started.threads()
        return [str(door) for door in doors]

    def load(self, table: Table) -> None:
        """Give the worker its table. Raises SandboxRefused, Broken, Late."""
        try:
            content = table.path.read_bytes()
        except OSError as error:
            raise SandboxRefused(f"the table cannot be read: {error.strerror}") from error
        until = time.monotonic() + START_SECONDS
        self._pipe.send({"do": "load", "parts": [len(content)]}, until, [content])
        message, _ = self._pipe.receive(until, longest=10_000)
        if why := answers.text_of(message, "loaded", 1_000):
            raise SandboxRefused(f"expected a table that pyarrow reads, found {why}")
        self.digest = table.digest
        self._threads = self._started.threads()

    def run(self, code: str, seconds: float) -> tuple[Outcome, bool]:
        """Run code; return what it led to, and whether the worker can be used again.

        Raises Broken, Late: the worker cannot.
        """
        if not self._pipe.is_silent():
            raise Broken("the worker spoke without being asked")
        call = secrets.token_hex(8)
        until = time.monotonic() + seconds + _GRACE
        self._pipe.send({"do": "run", "code": code, "seconds": seconds, "call": call}, until)
        message, charts = self._pipe.receive(
            until + _GRACE,  # It draws after it ran.
            longest=self._limits.answer + 16 * MOST_LETTERS,
            parts=MOST_CHARTS,
            longest_part=LARGEST_CHART,
        )
        if message.get("call") != call:
            raise Broken("the worker answered another question")
        outcome = Outcome(
            value=answers.value_of(message.get("value"), self._limits.rows),
            printed=_clean(answers.text_of(message, "printed", MOST_LETTERS)),
            charts=pictures.all_checked(charts),
            error=_clean(answers.text_of(message, "error", MOST_LETTERS)),
            notice=_notice(message),
        )
        return outcome, self._has_no_more_threads()

    def _has_no_more_threads(self) -> bool:
        # The kernel still counts a thread for a moment after Python has joined it.
        for pause in (0, 0.01, 0.02, 0.05, 0.1):
            time.sleep(pause)
            if self._started.threads() <= self._threads:
                return True
        return False

    def kill(self) -> None:
        """Kill the process at once, from any thread; a call that waits for it raises Broken."""
        self._started.process.kill()

    def end(self) -> None:
        """Kill the process, wait for its end, and remove what it had."""
        self._started.remove()

    def last_words(self) -> str:
        """Return what the process wrote to standard error before it was ready."""
        errors = self._started.process.stderr
        if errors is None:
            return ""
        with contextlib.suppress(OSError):
            os.set_blocking(errors.fileno(), False)
            return (errors.read(2_000) or b"").decode(errors="replace").strip()
        return ""


def _clean(text: str) -> str:
    """Return a text as databases and pages take it: without NUL, and without half characters."""
    return wellformed(text.replace("\0", "\ufffd"))


def _notice(message: dict[str, Any]) -> str:
    said = {
        "value": "The result was longer than what comes back, and is cut.",
        "printed": "More was printed than what comes back.",
        "charts": "More was drawn than what comes back.",
    }
    cuts = [said[each] for each in answers.cuts_of(message)]
    if message.get("letters") is True:
        cuts.append("This machine has no font for the letters of the chart.")
    return " ".join(cuts)
