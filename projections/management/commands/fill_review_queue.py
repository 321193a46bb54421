from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ....core.terminal import counted
from ....events.management.commands.erase_payload import user_named
from ...queues.acts import fill


class Command(TurnlogCommand):
    help = (
        "Put the conversations that a query of the review room's list means into a queue, or a"
        " sample of them. Those that are in it already stay where they are, so this can run every"
        " night."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("queue", type=int, metavar="NUMBER")
        parser.add_argument("--query", default="", metavar="TEXT", help="default: everything")
        parser.add_argument(
            "--percent", type=float, default=100, help="of what is found; default: all"
        )
        parser.add_argument(
            "--seed",
            default="",
            metavar="TEXT",
            help="the same one chooses the same conversations; default: another one each time",
        )
        parser.add_argument("--by", metavar="NAME", help="the user whom the log names as the actor")

    def run(
        self, *, queue: int, query: str, percent: float, seed: str, by: str | None, **options: Any
    ) -> None:
        who = None if by is None else user_named(by, "--by")
        done = fill(queue, query, by=who, percent=percent, seed=seed, reviewer=who)
        facts = {"queue": queue, "found": done.found, "added": done.added, "seed": done.seed}
        self.report(
            options["json"],
            facts,
            f"queue {queue}: found {counted(done.found, 'conversation')} that it did not have, and"
            f" took in {done.added} (seed {done.seed})",
        )
