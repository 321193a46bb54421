"""The base of turnlog's management commands: `--json`, and exit codes.

Exit code 0: done. 1: found a problem. 2: could not run; one line says why. 130: interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from .errors import TurnlogError
from .hurry import own_connections
from .output import tell
from .terminal import safe


def file_name(text: str) -> str:
    """The type of an option that names a file. Raises ArgumentTypeError if it is empty."""
    if not text:
        raise argparse.ArgumentTypeError("expected a file's name, found an empty text")
    return text


def _is_missing_table(error: DatabaseError) -> bool:
    # PostgreSQL's SQLSTATE for an undefined table; SQLite has no code of its own for it.
    state = getattr(error.__cause__, "sqlstate", None)
    return state == "42P01" or str(error).startswith("no such table")


class TurnlogCommand(BaseCommand):
    """Subclasses implement `run()`, which calls `report()` with the result."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def run_from_argv(self, argv: list[str]) -> None:
        with own_connections():  # With AUTOCOMMIT off, nobody else is there to commit.
            super().run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.try_to_run(**options)
        except CommandError as error:
            if options["json"]:
                # Programs read standard output; for people, Django prints the error as usual.
                self.print_line(json.dumps({"ok": None, "error": str(error)}))
            raise

    def try_to_run(self, **options: Any) -> None:
        try:
            self.run(**options)
        except TurnlogError as error:
            raise CommandError(safe(str(error)), returncode=2) from error
        except DatabaseError as error:
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            refused = f"the database refused: {safe(first_line)}"
            if _is_missing_table(error):
                refused += "; run `manage.py migrate` first"
            raise CommandError(refused, returncode=2) from error
        except KeyboardInterrupt:
            # As in shells: 128 plus the signal's number.
            raise CommandError("interrupted", returncode=130) from None

    def run(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError

    def report(self, as_json: bool, facts: dict[str, Any], sentence: str) -> None:
        """Print the result, for a program or a person; it may contain what users said."""
        self.print_line(json.dumps(facts) if as_json else safe(sentence))

    def print_line(self, text: str) -> bool:
        """Print a line, and return whether anybody still reads. Raises CommandError if it cannot
        be written."""
        try:
            return tell(self.stdout, text)
        except OSError as error:
            why = f"the result could not be written to standard output: {error.strerror or error}"
            raise CommandError(why, returncode=2) from error

    def found_something(self) -> NoReturn:
        """End with exit code 1, after the report."""
        sys.exit(1)
