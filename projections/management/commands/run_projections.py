from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ....core.commands import TurnlogCommand
from ...engine.registry import named
from ...engine.status import status
from ...engine.versions import warn_of_outdated
from ...engine.worker import Worker


class Command(TurnlogCommand):
    help = "Keep async projections up to date with the log; SIGTERM and Ctrl+C stop it cleanly."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument(
            "--once", action="store_true", help="catch up with the log as it is now, then exit"
        )

    def run(self, *, names: list[str], once: bool, **options: Any) -> None:
        worker = Worker(named(names))
        if not worker.projections:
            raise CommandError(
                "there is nothing to run: inline projections need no worker, each append keeps them"
                " up to date",
                returncode=2,
            )
        with _stopping(worker):
            if once:
                worker.catch_up()
            else:
                warn_of_outdated()
                worker.run()
        found = [status(projection, max_lag=float("inf")) for projection in worker.projections]
        for each in found:
            if each.state == "no worker":
                # Expected: once this process has ended, no worker is left.
                each.state, each.advice = "current", ""
        ok = all(each.ok for each in found)
        facts = {"ok": ok, "projections": [each.as_dict() for each in found]}
        lines = [
            f"{each.name}: at position {each.position} of {each.head}, {each.state}"
            + (f": {each.advice}" if each.advice else "")
            for each in found
        ]
        self.report(options["json"], facts, "\n".join(lines))
        if once and not ok:
            self.found_something()


@contextmanager
def _stopping(worker: Worker) -> Iterator[None]:
    """Let the worker finish its batch when a signal would end the process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may set signal handlers.
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: worker.stopped.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
