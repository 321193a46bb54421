from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError

from ....core.commands import TurnlogCommand
from ....core.errors import LegalHold, ReceiptNotKept, TurnlogError
from ....core.terminal import counted
from ...erasure.retention import apply, due
from .erase_payload import ON_DISK


class Command(TurnlogCommand):
    help = (
        'Erase what is older than TURNLOG["RETENTION"] allows, conversation by conversation, except'
        " what is under a legal hold. Run this every night."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be erased, and erase nothing"
        )

    def run(self, *, dry_run: bool, **options: Any) -> None:
        conversations: Counter[str] = Counter()
        turns: Counter[str] = Counter()
        held: set[int] = set()
        errors: list[str] = []
        for found in due():
            try:
                receipt = apply(found, dry_run=dry_run)
            except LegalHold:
                held.add(found.conversation)
                continue
            except ReceiptNotKept as error:
                # The erasure itself is done.
                errors.append(str(error))
                receipt = error.receipt
            except TurnlogError as error:
                errors.append(str(error))
                continue
            except DatabaseError as error:
                # Report what was erased all the same.
                errors.append(f"the database refused: {error}")
                break
            if receipt:
                conversations[found.kind] += 1
                turns[found.kind] += len(receipt.turns)
        facts = {
            "dry_run": dry_run,
            "conversations": dict(conversations),
            "turns": dict(turns),
            "held": len(held),
            "errors": errors,
        }
        self.report(options["json"], facts, "\n".join(_lines(facts)))
        if errors:
            self.found_something()


def _lines(facts: dict[str, Any]) -> list[str]:
    erased = "would be erased" if facts["dry_run"] else "erased"
    lines = []
    for kind, count in facts["conversations"].items():
        what = counted(count, "conversation")
        if kind != "conversations":
            what = f"{counted(facts['turns'][kind], 'turn')} in {what}"
        lines.append(f"{kind}: {what} {erased}")
    if not lines:
        lines.append(f"nothing {erased}: nothing is old enough")
    if facts["held"]:
        left = counted(facts["held"], "conversation")
        lines.append(f"{left} left alone because of a legal hold")
    lines += facts["errors"]
    if facts["conversations"] and not facts["dry_run"]:
        lines.append(ON_DISK)
    return lines
