from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandParser
from tqdm import tqdm

from ....core.commands import TurnlogCommand
from ...rebuild import rebuild, streams_of
from ...registry import named


class Command(TurnlogCommand):
    help = "Throw read models away and derive them from the log again, while people chat."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument("--conversation", type=int, metavar="PK", help="only this one")

    def run(self, *, names: list[str], conversation: int | None, **options: Any) -> None:
        projections = named(names)
        streams = streams_of(conversation)
        # A bar for a person at a terminal, and for nobody else.
        quiet = options["json"] or not sys.stderr.isatty()
        for projection in projections:
            with tqdm(
                total=len(streams), desc=projection.name, unit="conv", disable=quiet
            ) as progress:
                for done in rebuild(projection, streams):
                    progress.update(done)
        rebuilt = [projection.name for projection in projections]
        facts = {"projections": rebuilt, "conversations": len(streams)}
        sentence = f"{', '.join(rebuilt)}: {len(streams)} conversation(s) rebuilt"
        self.report(options["json"], facts, sentence)
