from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ...models.conversation import require_conversation
from ...verification import Verifier


class Command(TurnlogCommand):
    help = "Recompute every digest and hash of the log; exit 1 where it is not what was written."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--conversation", type=int, metavar="PK", help="only this one")

    def run(self, *, conversation: int | None, **options: Any) -> None:
        if conversation is not None:
            require_conversation(conversation)
        verifier = Verifier()
        problems = list(verifier.problems(conversation))
        facts = {
            "ok": not problems,
            "events": verifier.events,
            "conversations": verifier.streams,
            "problems": [problem.as_dict() for problem in problems],
        }
        counted = f"{verifier.events} events in {verifier.streams} conversations"
        if not problems:
            self.report(options["json"], facts, f"{counted}: the log is intact")
            return
        lines = [f"{counted}: {len(problems)} problem(s), the first one first", *map(str, problems)]
        self.report(options["json"], facts, "\n".join(lines))
        self.found_something()
