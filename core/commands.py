"""What all of turnlog's management commands share: `--json`, and how they end.

Exit code 0: done. 1: found something wrong. 2: could not run, with one line that says why.
130: interrupted.
"""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from .errors import TurnlogError
from .terminal import safe


class TurnlogCommand(BaseCommand):
    """Subclasses write `run()`, and call `report()` with what they have to say."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.try_to_run(**options)
        except CommandError as error:
            if options["json"]:
                # A machine reads the standard output; a person is told by Django's own ways.
                self.stdout.write(json.dumps({"ok": None, "error": str(error)}))
            raise

    def try_to_run(self, **options: Any) -> None:
        try:
            self.run(**options)
        except TurnlogError as error:
            raise CommandError(safe(str(error)), returncode=2) from error
        except DatabaseError as error:
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise CommandError(f"the database refused: {safe(first_line)}", returncode=2) from error
        except KeyboardInterrupt:
            # As shells count it: 128 and the signal's number.
            raise CommandError("interrupted", returncode=130) from None

    def run(self, **options: Any) -> None:
        raise NotImplementedError

    def report(self, as_json: bool, facts: dict[str, Any], sentence: str) -> None:
        """Print the result, for a machine or for a person; what people said can be part of it."""
        self.stdout.write(json.dumps(facts) if as_json else safe(sentence))

    def found_something(self) -> NoReturn:
        """End with exit code 1, after the report."""
        self.stdout.flush()
        sys.exit(1)
