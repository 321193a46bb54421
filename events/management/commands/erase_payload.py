from __future__ import annotations

import argparse
import contextlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from ....core.commands import TurnlogCommand, file_name
from ....core.errors import ErasureIncomplete, ReceiptNotKept, ReceiptRefused, TurnlogError
from ....core.terminal import counted
from ....core.users import users_named
from ...erasure import receipt_files
from ...erasure.act import Wanted
from ...erasure.again import Again, erase_again
from ...erasure.erase import erase_wanted
from ...erasure.receipts import Receipt
from ...erasure.users import erase_user

ON_DISK = (
    "the database's files may still hold the words: run VACUUM, as the documentation's page on"
    " erasure describes"
)


class Command(TurnlogCommand):
    help = (
        "Erase words from the log and from everything that was made of them, and keep the proof:"
        " turns, a whole conversation, everything of a user, or again what receipts name. Does not"
        " ask for confirmation, and cannot be undone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "--conversation", type=int, metavar="PK", help="erase all of it, and its title"
        )
        what.add_argument(
            "--user",
            metavar="NAME",
            help="erase everything of a user, by name or primary key: their conversations, and"
            " their turns in others",
        )
        what.add_argument(
            "--again",
            type=file_name,
            metavar="FILE",
            help="after a restore, erase again what the receipts in this file name",
        )
        parser.add_argument(
            "--turn",
            type=_turn,
            action="append",
            metavar="UUID",
            help="erase only this turn of the conversation (may be repeated)",
        )
        parser.add_argument(
            "--forget", action="store_true", help="also forget which user the pseudonym stands for"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be erased, and erase nothing"
        )
        parser.add_argument("--reason", metavar="TEXT", help="the request's reference; required")
        parser.add_argument("--by", metavar="NAME", help="the user whom the log names as the actor")

    def run(self, **options: Any) -> None:
        _require_fitting(options)
        by = None if options["by"] is None else user_named(options["by"], "--by")
        if options["again"] is not None:
            self.again(options)
        elif options["user"] is not None:
            user = user_named(options["user"], "--user")
            erased = erase_user(
                user,
                by=by,
                reason=options["reason"],
                forget=options["forget"],
                dry_run=options["dry_run"],
            )
            self.tell(erased, options)
        else:
            turns = options["turn"]
            wanted = Wanted(everything=turns is None, turns=frozenset(turns or ()))
            self.tell(_one(wanted, by, options), options)

    def tell(self, erased: Iterable[Receipt], options: dict[str, Any]) -> None:
        """Erase, and report what was erased."""
        done: list[dict[str, Any]] = []
        lines: list[str] = []
        errors: Sequence[Exception] = ()

        def note(receipt: Receipt) -> None:
            done.append(receipt.as_dict())
            lines.extend(sentence(each, options["dry_run"]) for each in receipt.whole())

        try:
            for receipt in erased:
                note(receipt)
        except ErasureIncomplete as incomplete:
            errors = incomplete.errors
            if incomplete.receipt is not None:
                note(incomplete.receipt)
                errors = [incomplete]
        except ReceiptNotKept as error:
            note(error.receipt)
            errors = [error]
        except (TurnlogError, DatabaseError) as error:
            if not done:
                raise
            # Something was erased before this error: report it.
            errors = [error]
        if (
            options["forget"]
            and not options["dry_run"]
            and all(isinstance(error, ReceiptNotKept) for error in errors)
        ):
            lines.append("the log no longer knows which user the pseudonym stands for")
        if not lines and not errors:
            lines.append("nothing was left to erase")
        self.conclude(options, {"receipts": done}, lines, errors)

    def again(self, options: dict[str, Any]) -> None:
        """Apply receipts, and report the result."""
        total = Again()
        for receipt in receipt_files.read(options["again"]):
            if isinstance(receipt, ReceiptRefused):
                total.errors.append(receipt)
                continue
            again = erase_again(receipt)
            total.erased += again.erased
            total.already += again.already
            total.absent += again.absent
            total.forgotten += again.forgotten
            total.receipts += again.receipts
            total.errors += again.errors
        facts = {
            "erased": total.erased,
            "already": total.already,
            "absent": total.absent,
            "forgotten": total.forgotten,
            "receipts": [receipt.as_dict() for receipt in total.receipts],
        }
        line = (
            f"{counted(total.erased, 'event')} erased again, {total.already} were erased already,"
            f" {total.absent} are not in this log"
        )
        if total.forgotten:
            line += f"; {counted(total.forgotten, 'user')} forgotten again"
        self.conclude(options, facts, [line], total.errors)

    def conclude(
        self,
        options: dict[str, Any],
        facts: dict[str, Any],
        lines: list[str],
        errors: Sequence[Exception],
    ) -> None:
        facts["dry_run"] = options["dry_run"]
        facts["errors"] = [str(error) for error in errors]
        told = [*lines, *facts["errors"]]
        if facts["receipts"] and not options["dry_run"]:
            told.append(ON_DISK)
        self.report(options["json"], facts, "\n".join(told))
        if errors:
            self.found_something()


def _one(wanted: Wanted, by: Any, options: dict[str, Any]) -> Iterator[Receipt]:
    pk, reason, dry_run = options["conversation"], options["reason"], options["dry_run"]
    receipt = erase_wanted(pk, wanted, by=by, reason=reason, dry_run=dry_run)
    if receipt:
        yield receipt


def sentence(receipt: Receipt, dry_run: bool = False) -> str:
    """A receipt as one line of text."""
    what = counted(len(receipt.events), "event")
    what += f" of {counted(len(receipt.turns), 'turn')}"
    if receipt.title:
        what += " and the title"
    erased = "would be erased" if dry_run else "erased"
    told = f"conversation {receipt.conversation}: {what} {erased} for {receipt.reason!r}"
    if receipt.quoting:
        told += (
            f"; {len(receipt.quoting)} of these turns were not named, but their model was given"
            f" words that may quote the others: {', '.join(map(str, receipt.quoting))}"
        )
    return told


def user_named(name: str, option: str) -> Any:
    """The user with a name or a primary key. Raises CommandError if there is none, or two."""
    users = get_user_model()._default_manager
    found = users_named(name)
    # Not every text can be a primary key.
    with contextlib.suppress(TypeError, ValueError, OverflowError, ValidationError):
        found += users.filter(pk=name)
    if not found:
        raise CommandError(
            f"{option}: there is no user with the name or key {name!r}", returncode=2
        )
    if len({user.pk for user in found}) > 1:
        raise CommandError(
            f"{option}: {name!r} is the name of one user and the key of another; give the user's"
            " other identifier",
            returncode=2,
        )
    return found[0]


def _turn(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a turn's UUID, found {text!r}") from None


def _require_fitting(options: dict[str, Any]) -> None:
    fitting = {"turn": "conversation", "forget": "user"}
    for option, of in fitting.items():
        if options[option] and options[of] is None:
            raise CommandError(f"--{option} can only be used with --{of}", returncode=2)
    if options["again"] is not None:
        if options["dry_run"]:
            raise CommandError("--dry-run cannot be used with --again", returncode=2)
        for option in ("reason", "by"):
            if options[option] is not None:
                raise CommandError(
                    f"--{option} cannot be used with --again: the receipts have their own",
                    returncode=2,
                )
    elif options["reason"] is None:
        raise CommandError(
            "--reason is required: the request's reference, for the log", returncode=2
        )
