from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ....core.commands import TurnlogCommand
from ...proof import keys
from ...proof.notes import NoteError


class Command(TurnlogCommand):
    help = "Make a key that signs checkpoints, in a new file that nobody else can read."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--name",
            required=True,
            help="what the log is called by those who check it, such as example.com/chat; the"
            " same again when a key is replaced",
        )
        parser.add_argument("--output", required=True, metavar="FILE", help="the private key")

    def run(self, *, name: str, output: str, **options: Any) -> None:
        try:
            key = keys.create(name, Path(output))
        except NoteError as error:
            raise CommandError(f"--name: {error}", returncode=2) from None
        except FileExistsError:
            raise CommandError(
                f"expected a new file, found that {output} is there already; keys are not"
                " overwritten",
                returncode=2,
            ) from None
        except OSError as error:
            raise CommandError(
                f"{output} cannot be written: {error.strerror}", returncode=2
            ) from None
        public = str(key.public)
        self.report(
            options["json"],
            {"public_key": public, "file": output},
            f"{public}\nThis is the public key: give it to whoever checks the log. The private one"
            f" is in {output}: name it in TURNLOG['SIGNING_KEY_FILE'], or put what it says into"
            f" {keys.ENVIRONMENT} in the environment.",
        )
