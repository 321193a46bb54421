from __future__ import annotations

import argparse
import datetime as dt
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from ....core.commands import TurnlogCommand, file_name
from ....core.terminal import counted
from ... import verifications
from ...proof.keys import known_keys
from ...proof.outside import read_note
from ...proof.problems import Problem
from ...proof.verification import Verifier
from ...tables.conversation import require_conversation
from ...tables.database import log_database
from ...tables.event import Event

SHOWN = 100


class Command(TurnlogCommand):
    help = (
        "Recompute every digest, hash and root of the log. Exits with 1 if the log is not what was"
        " written or not what signed checkpoints promised."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--conversation", type=int, metavar="PK", help="check only this conversation"
        )
        which.add_argument(
            "--since-checkpoint",
            action="store_true",
            help="check only what came after the last signed checkpoint, and rely on that",
        )
        which.add_argument(
            "--sample",
            type=_part,
            metavar="[K/]N",
            help="check only one Nth of the conversations: the Kth, or each day (UTC) the next one",
        )
        parser.add_argument(
            "--key",
            action="append",
            default=[],
            metavar="PUBLIC_KEY",
            help="check checkpoints with this key, too (may be repeated)",
        )
        parser.add_argument(
            "--checkpoint",
            type=file_name,
            action="append",
            default=[],
            metavar="FILE",
            help="a signed checkpoint of this log that must still hold (may be repeated)",
        )

        parser.add_argument(
            "--record",
            action="store_true",
            help="record the result in the log; only for the whole log, or since a checkpoint",
        )

    def run(self, **options: Any) -> None:
        if options["record"] and (options["conversation"] is not None or options["sample"]):
            raise CommandError(
                "expected --record with the whole log or with --since-checkpoint, found it with"
                " --conversation or --sample, which leave most of the log out"
            )
        span = _span(options) if options["record"] else None
        conversation = options["conversation"]
        if conversation is not None:
            require_conversation(conversation)
        notes = [(path, read_note(Path(path))) for path in options["checkpoint"]]
        with tqdm(
            total=None if any(_some(options)) else Event.objects.using(log_database()).count(),
            unit=" events",
            unit_scale=True,
            disable=options["json"] or not sys.stderr.isatty(),
        ) as bar:
            verifier = Verifier(known_keys(options["key"]), notes, bar.update)
            found = _Found(self.problems(verifier, options))
        if span is not None:
            verifications.record(span, found.count)
        whole = not any(_some(options))
        self.say(verifier, found, whole, options["json"])

    def problems(self, verifier: Verifier, options: dict[str, Any]) -> Iterator[Problem]:
        """The problems in the part of the log that was asked for."""
        if options["conversation"] is not None:
            return verifier.conversation(options["conversation"])
        if options["sample"] is not None:
            part, parts = options["sample"]
            today = dt.datetime.now(dt.UTC).toordinal()
            return verifier.sample((today if part is None else part) % parts, parts)
        if options["since_checkpoint"]:
            return verifier.since_checkpoint()
        return verifier.whole()

    def say(self, verifier: Verifier, found: _Found, whole: bool, as_json: bool) -> None:
        """Report, and end with exit code 1 if there are problems."""
        facts = {
            "ok": not found.count,
            "events": verifier.events,
            "conversations": verifier.streams,
            "checkpoints": verifier.checkpoints,
            "problem_count": found.count,
            "first": found.first and found.first.as_dict(),
            "problems": [problem.as_dict() for problem in found.shown],
        }
        what = counted(verifier.events, "event")
        what += f" in {counted(verifier.streams, 'conversation')}"
        if verifier.checkpoints:
            what += f", {counted(verifier.checkpoints, 'signed checkpoint')}"
        if not found.count:
            intact = "the log is intact" if whole else "these are intact"
            self.report(as_json, facts, f"{what}: {intact}")
            return
        lines = [f"{what}: {counted(found.count, 'problem')}", f"first {found.first}"]
        lines += [str(problem) for problem in found.shown if problem is not found.first]
        if found.count > len(found.shown):
            kinds = ", ".join(f"{count} of {what}" for what, count in found.kinds.most_common())
            lines.append(f"in all: {kinds}")
        self.report(as_json, facts, "\n".join(lines))
        self.found_something()


class _Found:
    """The problems of one run: counts all, keeps some, and finds the first by position."""

    def __init__(self, problems: Iterator[Problem]) -> None:
        self.count = 0
        self.kinds: Counter[str] = Counter()
        self.shown: list[Problem] = []
        self.first: Problem | None = None
        for problem in problems:
            self.count += 1
            self.kinds[problem.what] += 1
            if len(self.shown) < SHOWN:
                self.shown.append(problem)
            if self.first is None or _place(problem) < _place(self.first):
                self.first = problem


def _span(options: dict[str, Any]) -> verifications.Span:
    if options["since_checkpoint"]:
        return verifications.unsigned_positions()
    return verifications.all_positions()


def _place(problem: Problem) -> float:
    return float("inf") if problem.position is None else problem.position


def _some(options: dict[str, Any]) -> list[Any]:
    return [options["conversation"] is not None, options["sample"], options["since_checkpoint"]]


def _part(text: str) -> tuple[int | None, int]:
    match = re.fullmatch(r"(?:(\d{1,9})/)?([1-9]\d{0,8})", text)
    if match is None or (match[1] is not None and not 1 <= int(match[1]) <= int(match[2])):
        raise argparse.ArgumentTypeError(f"expected N, or K/N with K from 1 to N, found {text!r}")
    return (None if match[1] is None else int(match[1]) - 1), int(match[2])
