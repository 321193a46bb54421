from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ...registry import named
from ...status import status
from ...worker import Worker


class Command(TurnlogCommand):
    help = "Keep asynchronous projections up with the log; stops cleanly on SIGTERM and Ctrl+C."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument(
            "--once", action="store_true", help="catch up with the log as it is now, and end"
        )

    def run(self, *, names: list[str], once: bool, **options: Any) -> None:
        worker = Worker(named(names))
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: worker.stopped.set())
        if once:
            worker.catch_up()
        else:
            worker.run()
        found = [status(projection, max_lag=float("inf")) for projection in worker.projections]
        ok = all(each.ok for each in found)
        facts = {"ok": ok, "projections": [each.as_dict() for each in found]}
        lines = [
            f"{each.name}: at position {each.position} of {each.head}, {each.state}"
            + (f": {each.advice}" if each.advice else "")
            for each in found
        ]
        self.report(options["json"], facts, "\n".join(lines) or "there are no async projections")
        if once and not ok:
            self.found_something()
