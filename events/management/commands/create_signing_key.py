from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ....core.commands import TurnlogCommand, file_name
from ...proof import keys
from ...proof.notes import NoteError


class Command(TurnlogCommand):
    help = "Create a key that signs checkpoints, in a new file that only its owner can read."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--name",
            required=True,
            help="the log's name for everyone who checks it, such as example.com/chat; keep the"
            " name when you replace a key",
        )
        parser.add_argument(
            "--output",
            required=True,
            type=file_name,
            metavar="FILE",
            help="a new file for the private key",
        )

    def run(self, *, name: str, output: str, **options: Any) -> None:
        try:
            key = keys.create(name, Path(output))
        except NoteError as error:
            raise CommandError(f"--name: {error}", returncode=2) from None
        except FileExistsError:
            raise CommandError(
                f"--output: expected a new file, found {output}, which exists; keys are never"
                " overwritten, so name another file",
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
            f"{public}\nThis is the public key: give it to everyone who checks the log. The private"
            f" key is in {output}: name this file in TURNLOG['SIGNING_KEY_FILE'], or put its"
            f" content into the environment variable {keys.ENVIRONMENT}.",
        )
