from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ...checking import differences
from ...rebuild import Chunk, chunk_of, chunks
from ...registry import named


class Command(TurnlogCommand):
    help = "Compare read models with the log, changing nothing; exit 1 where they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument("--conversation", type=int, metavar="PK", help="only this one")

    def run(self, *, names: list[str], conversation: int | None, **options: Any) -> None:
        projections = named(names)
        checked = 0
        differing: dict[str, dict[str, list[str]]] = {}
        lines = []
        for projection in projections:
            checked = 0
            for chunk in _chunks(conversation):
                checked += len(chunk.streams)
                for pk, problems in differences(projection, chunk.streams).items():
                    differing.setdefault(projection.name, {})[str(pk)] = problems
                    lines.append(f"{projection.name}: conversation {pk}: {'; '.join(problems)}")
        facts = {
            "ok": not differing,
            "projections": [projection.name for projection in projections],
            "conversations": checked,
            "differing": differing,
        }
        sentence = f"{checked} conversation(s) checked, {len(lines)} differ from the log"
        self.report(options["json"], facts, "\n".join([sentence, *lines]))
        if differing:
            self.found_something()


def _chunks(conversation: int | None) -> Iterator[Chunk]:
    return chunks() if conversation is None else iter([chunk_of(conversation)])
