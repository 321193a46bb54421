from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ....core.commands import TurnlogCommand
from ....core.errors import BlobFileError
from ....core.terminal import counted
from ...store import blob_files
from ...tables.blob import Blob
from ...tables.database import log_database


class Command(TurnlogCommand):
    help = (
        'Delete files in the storage that TURNLOG["BLOB_STORAGE"] names and that no blob of this'
        " log has: a process was killed, or a transaction rolled back, after they were written; or"
        " the storage could not delete them when their events were erased. The storage must be this"
        " log's alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--hours",
            type=float,
            default=24.0,
            metavar="N",
            help="leave younger files alone: their transaction may be running (default: 24)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be deleted, and delete nothing"
        )

    def run(self, *, hours: float, dry_run: bool, **options: Any) -> None:
        if not blob_files.is_used():
            raise CommandError(
                "expected TURNLOG['BLOB_STORAGE'] to name a storage, found none: blobs are in the"
                " database, which leaves none behind",
                returncode=2,
            )
        if not 0 <= hours < 1_000_000:
            raise CommandError(f"--hours: expected 0 to 1,000,000, found {hours}", returncode=2)
        deleted: list[str] = []
        errors: list[str] = []
        try:
            for name in blob_files.older_than(dt.timedelta(hours=hours)):
                if Blob.objects.using(log_database()).filter(file=name).exists():
                    continue
                if not dry_run:
                    blob_files.delete(name)
                deleted.append(name)
        except BlobFileError as error:
            errors.append(str(error))
        done = "would be deleted" if dry_run else "deleted"
        told = [*deleted, f"{counted(len(deleted), 'file')} {done}", *errors]
        facts = {"dry_run": dry_run, "deleted": deleted, "errors": errors}
        self.report(options["json"], facts, "\n".join(told))
        if errors:
            self.found_something()
