from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ....core.commands import TurnlogCommand, file_name
from ....core.terminal import counted
from ...erasure import receipt_files
from ...erasure.past import receipts


class Command(TurnlogCommand):
    help = (
        "Write the receipts of all erasures from the log to a file. Keep the file outside the"
        " database: after a restore, `erase_payload --again FILE` applies the receipts."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--output", required=True, type=file_name, metavar="FILE")

    def run(self, *, output: str, **options: Any) -> None:
        count = receipt_files.write(output, receipts())
        facts = {"receipts": count, "output": output}
        self.report(options["json"], facts, f"{counted(count, 'receipt')} written to {output}")
