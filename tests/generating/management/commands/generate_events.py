from __future__ import annotations

import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from tests.generating.bulk import write
from tests.generating.plan import Plan
from tests.generating.stage import set_up
from turnlog.core.commands import TurnlogCommand
from turnlog.core.terminal import counted


class Command(TurnlogCommand):
    help = (
        "Write made-up conversations of the last 90 days into the log, to try rebuilds and time"
        " travel at scale. They stay for ever; the same seed gives the same ones."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--events", type=int, default=10_000, metavar="N", help="exactly so many (10000)"
        )
        parser.add_argument(
            "--conversations", type=int, metavar="N", help="default: one for 100 events"
        )
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
        parser.add_argument("--force", action="store_true", help="even where settings.DEBUG is off")

    def run(self, *, events: int, conversations: int | None, **options: Any) -> None:
        if events < 1:
            raise CommandError(f"--events must be 1 or more, found {events}", returncode=2)
        plan = Plan(events, conversations, options["seed"])
        if not (settings.DEBUG or options["force"]):
            raise CommandError(
                "settings.DEBUG is off, so this may be production, and what is written to the log"
                " can never be deleted again; add --force to do it all the same",
                returncode=2,
            )
        begun = time.perf_counter()
        self.generate(plan, quiet=options["json"] or not sys.stderr.isatty())
        seconds = time.perf_counter() - begun
        facts = {
            "events": events,
            "conversations": len(plan.sizes),
            "seed": plan.seed,
            "seconds": round(seconds, 3),
            "events_per_second": round(events / seconds),
        }
        sentence = (
            f"{counted(events, 'event')} in {counted(len(plan.sizes), 'conversation')} generated:"
            f" {seconds:.1f} s, {events / seconds:.0f} events a second"
        )
        self.report(options["json"], facts, sentence)

    def generate(self, plan: Plan, *, quiet: bool) -> None:
        """Do it, with a bar for a person at a terminal and for nobody else."""
        streams = plan.streams(set_up(plan.people), timezone.now())
        with tqdm(
            total=plan.events, desc="generate", unit=" events", unit_scale=True, disable=quiet
        ) as bar:
            for written in write(streams):
                bar.update(written)
