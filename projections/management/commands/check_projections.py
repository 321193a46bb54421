from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ...rebuild import differences, streams_of
from ...registry import named


class Command(TurnlogCommand):
    help = "Compare read models with the log, changing nothing; exit 1 where they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument("--conversation", type=int, metavar="PK", help="only this one")

    def run(self, *, names: list[str], conversation: int | None, **options: Any) -> None:
        projections = named(names)
        streams = streams_of(conversation)
        found = {pk: problems for pk in streams if (problems := differences(pk))}
        facts = {
            "ok": not found,
            "projections": [projection.name for projection in projections],
            "conversations": len(streams),
            "differing": {str(pk): problems for pk, problems in found.items()},
        }
        lines = [f"{len(streams)} conversation(s) checked, {len(found)} differ from the log"]
        lines += [f"conversation {pk}: {'; '.join(problems)}" for pk, problems in found.items()]
        self.report(options["json"], facts, "\n".join(lines))
        if found:
            self.found_something()
