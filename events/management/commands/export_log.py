from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from ....core.commands import TurnlogCommand, file_name
from ....core.errors import LogDamaged
from ....core.files import whole_file
from ....core.terminal import counted
from ...proof.bundle import Written, seeing_erasures, write_bundle
from ...proof.keys import known_keys
from ...proof.selecting import actor_of, moment, select


class Command(TurnlogCommand):
    help = "Write a bundle: events that `python -m turnlog.events.verify FILE` can check offline."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--output",
            required=True,
            type=file_name,
            metavar="FILE",
            help="compressed with gzip if the name ends in .gz",
        )
        parser.add_argument(
            "--conversation",
            type=int,
            action="append",
            default=[],
            metavar="PK",
            help="only this conversation (may be repeated)",
        )
        parser.add_argument(
            "--user",
            action="append",
            default=[],
            metavar="NAME",
            help="only the turns of this user, by name or by actor id (may be repeated)",
        )
        parser.add_argument("--since", metavar="TIME", help="only events recorded from then on")
        parser.add_argument("--until", metavar="TIME", help="only events recorded up to then")
        parser.add_argument(
            "--key",
            action="append",
            default=[],
            metavar="PUBLIC_KEY",
            help="the public key of the last checkpoint, if the settings do not have it",
        )

    def run(self, **options: Any) -> None:
        selection = select(
            options["conversation"],
            [actor_of(name) for name in options["user"]],
            None if options["since"] is None else moment(options["since"]),
            None if options["until"] is None else moment(options["until"]),
        )
        known = known_keys(options["key"])
        output = options["output"]
        quiet = options["json"] or not sys.stderr.isatty()

        def write() -> Written:
            with (
                _bundle(Path(output)) as file,
                tqdm(unit=" events", unit_scale=True, disable=quiet) as bar,
            ):
                return write_bundle(file, selection, known, bar.update)

        try:
            written = seeing_erasures(write)
        except LogDamaged as error:
            self.report(options["json"], {"ok": False, "error": str(error)}, str(error))
            self.found_something()
        except OSError as error:
            raise CommandError(
                f"{output} cannot be written: {error.strerror}", returncode=2
            ) from None
        facts = {"ok": True, "file": output, "scope": selection.scope, **vars(written)}
        said = f"{counted(written.events, 'event')} of"
        said += f" {counted(written.conversations, 'conversation')}"
        if not written.events:
            said = "nothing was selected, so there is no event in it"
        self.report(
            options["json"],
            facts,
            f"{output}: {said}, with the checkpoint of {counted(written.size, 'event')}",
        )


@contextmanager
def _bundle(path: Path) -> Iterator[IO[bytes]]:
    with whole_file(path) as file:
        if path.suffix != ".gz":
            yield file
            return
        # No name and no time, so that the same bundle is compressed to the same bytes.
        with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
            yield cast(IO[bytes], packed)
