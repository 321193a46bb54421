from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand
from ....core.errors import LogDamaged
from ....core.terminal import counted
from ...proof.checkpoints import checkpoint_log
from ...proof.verification import require_intact


class Command(TurnlogCommand):
    help = "Sign the root over the log, so that any later change to it can be detected."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--verify",
            action="store_true",
            help="verify the whole log first, and sign nothing if there is a problem",
        )

    def run(self, **options: Any) -> None:
        try:
            if options["verify"]:
                require_intact()
            signed = checkpoint_log()
        except LogDamaged as error:
            self.report(options["json"], {"ok": False, "error": str(error)}, str(error))
            self.found_something()
        if signed is None:
            facts: dict[str, Any] = {
                "ok": True,
                "new": False,
                "size": 0,
                "root": None,
                "note": None,
            }
            self.report(options["json"], facts, "the log is empty; there is nothing to sign")
            return
        checkpoint, note, new = signed
        root = checkpoint.root.hex()
        facts = {"ok": True, "new": new, "size": checkpoint.size, "root": root, "note": note}
        said = "signed" if new else "nothing new since the last checkpoint"
        self.report(
            options["json"],
            facts,
            f"{checkpoint.origin}: {counted(checkpoint.size, 'event')}, root {root}: {said}",
        )
