from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from ....core.commands import TurnlogCommand
from ....events.sequence import sequence
from ...checking import differences
from ...projection import Projection
from ...reading import last_position
from ...rebuild import Chunk, chunk_of, chunks, rebuild_chunk
from ...rebuilding import rebuild
from ...registry import named
from ...worker import Worker


class Command(TurnlogCommand):
    help = "Throw read models away and derive them from the log again, while people chat."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument("--conversation", type=int, metavar="PK", help="only this one")
        parser.add_argument(
            "--workers", type=int, default=1, metavar="N", help="processes that rebuild at once"
        )
        parser.add_argument(
            "--resume", action="store_true", help="go on where a rebuild was cut off"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, and change nothing"
        )

    def run(self, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError(
                f"--workers must be 1 or more, found {options['workers']}", returncode=2
            )
        if options["conversation"] is not None and options["resume"]:
            raise CommandError(
                "--resume goes on with a rebuild of all conversations; leave --conversation or"
                " --resume out",
                returncode=2,
            )
        projections = named(options["names"])
        work = self.dry_run if options["dry_run"] else self.rebuild
        done = {projection.name: work(projection, options) for projection in projections}
        facts = {"projections": done, "dry_run": options["dry_run"]}
        self.report(options["json"], facts, "\n".join(map(_sentence, done, done.values())))

    def rebuild(self, projection: Projection, options: dict[str, Any]) -> dict[str, Any]:
        """Do it; how many conversations and events there were."""
        if options["conversation"] is not None:
            todo = _alone(projection, options["conversation"])
        else:
            todo = rebuild(projection, workers=options["workers"], resume=options["resume"])
        facts = {"conversations": 0, "events": 0}
        for chunk in self.progress(projection, todo, options):
            facts["conversations"] += len(chunk.streams)
            facts["events"] += chunk.events
        if options["conversation"] is None and not projection.inline:
            # What was said meanwhile: whoever rebuilds wants to find it there.
            Worker([projection]).catch_up()
        return facts

    def dry_run(self, projection: Projection, options: dict[str, Any]) -> dict[str, Any]:
        """Change nothing; which conversations would change."""
        sequence()
        one = options["conversation"]
        todo = iter([chunk_of(one)]) if one is not None else chunks()
        would_change: dict[str, list[str]] = {}
        conversations = 0
        for chunk in self.progress(projection, todo, options):
            conversations += len(chunk.streams)
            found = differences(projection, chunk.streams)
            would_change |= {str(stream): problems for stream, problems in found.items()}
        return {"conversations": conversations, "would_change": would_change}

    def progress(
        self, projection: Projection, todo: Iterator[Chunk], options: dict[str, Any]
    ) -> Iterator[Chunk]:
        """The chunks, with a bar for a person at a terminal and for nobody else."""
        quiet = options["json"] or not sys.stderr.isatty()
        total = last_position() if options["conversation"] is None else None
        with tqdm(
            total=total, desc=projection.name, unit=" events", unit_scale=True, disable=quiet
        ) as bar:
            for chunk in todo:
                yield chunk
                bar.update(chunk.events)


def _alone(projection: Projection, conversation: int) -> Iterator[Chunk]:
    chunk = chunk_of(conversation)
    rebuild_chunk(projection, chunk.streams)
    yield chunk


def _sentence(name: str, facts: dict[str, Any]) -> str:
    conversations = f"{facts['conversations']} conversation(s)"
    if "events" in facts:
        return f"{name}: {conversations} of {facts['events']} events rebuilt"
    changing = facts["would_change"]
    lines = [f"{name}: {len(changing)} of {conversations} would change"]
    lines += [f"conversation {pk}: {'; '.join(problems)}" for pk, problems in changing.items()]
    return "\n".join(lines)
