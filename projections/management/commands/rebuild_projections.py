from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from ....core.commands import TurnlogCommand
from ....core.terminal import counted
from ....events.store.sequence import sequence
from ...engine.checking import differences
from ...engine.checkpoints import ensure
from ...engine.chunks import Chunk, chunk_of, chunks, rebuild_chunk
from ...engine.projection import Projection
from ...engine.reading import last_position
from ...engine.rebuild import planned_position, rebuild, was_cut_off
from ...engine.registry import named
from ...engine.worker import Worker, is_stopped


class Command(TurnlogCommand):
    help = "Delete read models and derive them from the log again, while people chat."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument("--conversation", type=int, metavar="PK", help="only this one")
        parser.add_argument(
            "--workers", type=int, default=1, metavar="N", help="number of processes (default: 1)"
        )
        parser.add_argument(
            "--resume", action="store_true", help="continue a rebuild that was cut off"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="report what would change, and change nothing"
        )

    def run(self, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError(
                f"--workers must be 1 or more, found {options['workers']}", returncode=2
            )
        if options["conversation"] is not None and options["resume"]:
            raise CommandError(
                "--resume continues a rebuild of all conversations; omit --conversation or"
                " --resume",
                returncode=2,
            )
        projections = named(options["names"])
        if options["resume"] and not options["names"]:
            projections = [each for each in projections if was_cut_off(each)] or projections
        if options["dry_run"]:
            self.dry_run(projections, options)
            return
        done = [self.rebuild(projection, options) for projection in projections]
        conversations, events = max(done)
        names = [projection.name for projection in projections]
        facts = {"projections": names, "conversations": conversations, "events": events}
        what = f"{counted(conversations, 'conversation')}, {counted(events, 'event')}"
        sentence = f"{', '.join(names)}: {what} rebuilt"
        self.report(options["json"], facts, sentence)

    def rebuild(self, projection: Projection, options: dict[str, Any]) -> tuple[int, int]:
        """Rebuild a projection; return the numbers of conversations and events."""
        one = options["conversation"]
        if one is not None:
            todo = _alone(projection, one)
        else:
            todo = rebuild(projection, workers=options["workers"], resume=options["resume"])
        conversations = events = 0
        for chunk in self.progress(projection, todo, options):
            conversations, events = conversations + len(chunk.streams), events + chunk.events
        if one is None and not projection.inline:
            # Apply what was said meanwhile: after a rebuild, the rows should be up to date.
            Worker([projection]).catch_up()
            _require_going_on(projection)
        return conversations, events

    def dry_run(self, projections: list[Projection], options: dict[str, Any]) -> None:
        """Report which conversations would change, and change nothing."""
        sequence()
        one = options["conversation"]
        would_change: dict[str, list[str]] = {}
        conversations = 0
        for projection in projections:
            todo = iter([chunk_of(one)]) if one is not None else chunks()
            conversations, until = 0, planned_position(projection)
            for chunk in self.progress(projection, todo, options):
                conversations += len(chunk.streams)
                changes = differences(projection, chunk.streams, until=until)
                for pk, problems in changes.items():
                    found = [f"{projection.name}: {problem}" for problem in problems]
                    would_change.setdefault(str(pk), []).extend(found)
        facts = {
            "projections": [projection.name for projection in projections],
            "conversations": conversations,
            "would_change": would_change,
        }
        what = counted(conversations, "conversation")
        lines = [f"{len(would_change)} of {what} would change"]
        lines += [f"conversation {pk}: {'; '.join(found)}" for pk, found in would_change.items()]
        self.report(options["json"], facts, "\n".join(lines))

    def progress(
        self, projection: Projection, todo: Iterator[Chunk], options: dict[str, Any]
    ) -> Iterator[Chunk]:
        """Yield the chunks; show a progress bar, but only to a person at a terminal."""
        quiet = options["json"] or not sys.stderr.isatty()
        total = last_position() if options["conversation"] is None else None
        with tqdm(
            total=total, desc=projection.name, unit=" events", unit_scale=True, disable=quiet
        ) as bar:
            for chunk in todo:
                yield chunk
                bar.update(chunk.events)


def _require_going_on(projection: Projection) -> None:
    checkpoint = ensure(projection)
    if is_stopped(projection, checkpoint):
        raise CommandError(
            f"projection {projection.name!r} is rebuilt up to position {checkpoint.position}, and"
            f" stopped at the next event: {checkpoint.error}; fix that and run it again",
            returncode=2,
        )


def _alone(projection: Projection, conversation: int) -> Iterator[Chunk]:
    chunk = chunk_of(conversation)
    rebuild_chunk(projection, chunk.streams)
    yield chunk
