from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ....core.terminal import counted
from ...engine.checking import differences
from ...engine.chunks import chunk_of, chunks
from ...engine.registry import named


class Command(TurnlogCommand):
    help = "Compare read models with the log and change nothing; exit 1 if they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument("--conversation", type=int, metavar="PK", help="only this one")

    def run(self, *, names: list[str], conversation: int | None, **options: Any) -> None:
        projections = named(names)
        checked = 0
        differing: dict[str, list[str]] = {}
        for chunk in chunks() if conversation is None else [chunk_of(conversation)]:
            checked += len(chunk.streams)
            for projection in projections:
                for pk, problems in differences(projection, chunk.streams).items():
                    found = [f"{projection.name}: {problem}" for problem in problems]
                    differing.setdefault(str(pk), []).extend(found)
        facts = {
            "ok": not differing,
            "projections": [projection.name for projection in projections],
            "conversations": checked,
            "differing": differing,
        }
        what = counted(checked, "conversation")
        lines = [f"{what} checked, {len(differing)} unlike the log"]
        lines += [f"conversation {pk}: {'; '.join(found)}" for pk, found in differing.items()]
        self.report(options["json"], facts, "\n".join(lines))
        if differing:
            self.found_something()
