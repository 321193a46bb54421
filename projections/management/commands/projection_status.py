from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ....core.commands import TurnlogCommand
from ....core.terminal import counted
from ...engine.registry import named
from ...engine.status import Status, parked, status


class Command(TurnlogCommand):
    help = "Report the state of projections; exit 1 unless all are known to be well."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all projections")
        parser.add_argument(
            "--max-lag",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="the longest lag that counts as well (default: 60)",
        )

    def run(self, *, names: list[str], max_lag: float, **options: Any) -> None:
        if not 0 <= max_lag < float("inf"):
            raise CommandError(
                f"--max-lag: expected a finite number of seconds, 0 or more, found {max_lag}",
                returncode=2,
            )
        facts, lines = [], []
        for projection in named(names):
            found = status(projection, max_lag=max_lag)
            aside = [
                {"conversation": p.stream_id, "version": p.version, "error": p.error}
                for p in parked(projection)
            ]
            facts.append({**found.as_dict(), "parked_events": aside})
            lines.append(_line(found))
            lines += [
                f"  parked: version {p['version']} of conversation {p['conversation']}:"
                f" {p['error']}"
                for p in aside
            ]
        ok = all(fact["ok"] for fact in facts)
        self.report(options["json"], {"ok": ok, "projections": facts}, "\n".join(lines))
        if not ok:
            self.found_something()


def _line(found: Status) -> str:
    parts = [f"{'ok ' if found.ok else 'NOT'} {found.name}: {found.state}"]
    if found.inline:
        parts.append("inline")
    elif found.position is not None:
        parts.append(f"at position {found.position} of {found.head}")
        parts.append(
            f"{counted(found.lag_events or 0, 'event')}, {_seconds(found.lag_seconds)} behind"
        )
        parts.append(f"worker {found.worker or 'unknown'}")
        parts.append(f"last seen {_seconds(found.heartbeat_age)} ago")
    if found.parked:
        parts.append(f"{counted(found.parked, 'event')} parked")
    return ", ".join(parts) + (f"\n  {found.advice}" if found.advice else "")


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} s"
