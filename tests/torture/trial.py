"""One run on one database: torture, judgement, dump and restore, torture again, judgement."""

from __future__ import annotations

import io
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction

from tests.project.databases import folder
from turnlog.events.models import Conversation

from .judging import KINDS, Row, Wrong, judge, judge_reader, rows
from .ledger import Ledger
from .ordeal import Ordeal, Stuck
from .reader import Journal
from .restoring import dump, restore

SHARED, READERS = 6, 2


@dataclass(frozen=True)
class Size:
    """How much is asked for."""

    kills: int
    """Writers that are killed; about a third as many readers, holders and workers besides."""
    seed: int
    writers: int = 8
    seconds: float = float("inf")
    """After these, it ends early."""


@dataclass
class Report:
    """What came of it."""

    size: Size
    database: str
    wrong: list[Wrong] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    kills: int = 0

    @property
    def is_complete(self) -> bool:
        return self.kills >= self.size.kills

    def __str__(self) -> str:
        counted = Counter(each.kind for each in self.wrong)
        verdict = [f"{counted[kind]} {kind}" for kind in KINDS]
        head = f"{self.database}, {self.size.writers} writers, seed {self.size.seed}"
        shown = [f"  {each.kind}: {each.what}" for each in self.wrong[:20]]
        wrapped = [", ".join(verdict[start : start + 4]) for start in range(0, len(verdict), 4)]
        return "\n".join([head, *(f"  {line}" for line in [*self.lines, *wrapped]), *shown])


class Trial:
    """A fresh database, and what happens to it."""

    def __init__(self, size: Size, database: str) -> None:
        self.size = size
        self.report = Report(size, database)
        self.ledger = Ledger()
        self._begun = time.monotonic()
        users = get_user_model().objects
        for name in ("ada", "bob", "eve"):
            users.create_user(name)
        self._shared = [Conversation.objects.create().pk for _ in range(SHARED)]
        # A transaction that stays open keeps nobody waiting on PostgreSQL, and everybody on SQLite.
        own = [[Conversation.objects.create().pk for _ in range(2)] for _ in range(2)]
        self._held = own if connection.vendor == "postgresql" else [[]]
        self._folder = folder()
        self._journals = [self._folder / f"journal-{number}" for number in range(READERS)]

    def run(self) -> Report:
        try:
            checkpoints, acknowledged, path = self._write_and_dump()
            self._judge("", self.ledger, self._journals)
            with _on(restore(path)):
                self._go_on_after_the_restore(self.ledger.restored(acknowledged), checkpoints)
        except Stuck as error:
            unexpected = [str(error), *self.ledger.surprises]
            self.report.wrong += [Wrong("unexpected errors", what) for what in unexpected]
        return self.report

    def _ordeal(self, ledger: Ledger, name: str, journals: Sequence[Path]) -> Ordeal:
        return Ordeal(
            ledger,
            name=name,
            seed=self.size.seed,
            writers=self.size.writers,
            shared=self._shared,
            held=self._held,
            journals=journals,
        )

    def _write_and_dump(self) -> tuple[list[Path], set[str], Path]:
        path = self._folder / "dump"
        with self._ordeal(self.ledger, "", self._journals) as ordeal:
            ordeal.go_on(self._until(ordeal, self.size.kills * 2 // 3))
            # Whatever was seen or acknowledged before the dump begins is in it.
            checkpoints = [Path(shutil.copy(at, f"{at}-restored")) for at in self._journals]
            acknowledged = self.ledger.acknowledged()
            dumper = ordeal.beside("dumper", partial(dump, path=path))
            ordeal.go_on(lambda: dumper.ended)
            ordeal.go_on(self._until(ordeal, self.size.kills))
            ordeal.end()
        self._tell_of(ordeal, self.ledger)
        self.report.kills = ordeal.killed["writer"]
        return checkpoints, acknowledged, path

    def _go_on_after_the_restore(self, ledger: Ledger, checkpoints: Sequence[Path]) -> None:
        before = [Journal(path).position for path in checkpoints]
        with self._ordeal(ledger, "restored-", checkpoints) as ordeal:
            ordeal.go_on(self._until(ordeal, max(2, self.size.kills // 10)))
            ordeal.end()
        after = [Journal(path).position for path in checkpoints]
        self.report.lines.append(
            f"dump in mid-writing, restored into a fresh {_HOME[connection.vendor]}: readers went"
            f" on from positions {_and(before)} to {_and(after)}"
        )
        self._tell_of(ordeal, ledger)
        self._judge("restored: ", ledger, checkpoints)

    def _until(self, ordeal: Ordeal, kills: int) -> Callable[[], bool]:
        end = self._begun + self.size.seconds
        return lambda: ordeal.killed["writer"] >= kills or time.monotonic() > end

    def _tell_of(self, ordeal: Ordeal, ledger: Ledger) -> None:
        killed, answers = dict(ordeal.killed), dict(ledger.answers)
        acknowledged = answers.pop("acknowledged", 0)
        self.report.lines += [
            "killed: " + ", ".join(_counted(kind, killed[kind]) for kind in sorted(killed)),
            f"{acknowledged:,} operations acknowledged; refused as they should be: "
            + ", ".join(f"{number:,} {why}" for why, number in sorted(answers.items())),
        ]

    def _judge(self, name: str, ledger: Ledger, journals: Sequence[Path]) -> None:
        wrong = self.report.wrong
        caught_up = _command("run_projections", once=True)
        wrong += [Wrong("found by check_projections", what) for what in caught_up]
        log = rows()
        wrong += judge(ledger, log)
        for journal in journals:
            seen = Journal(journal).lines()
            wrong += judge_reader(f"{name}{journal.name}", seen, log)
        wrong += [Wrong("found by verify_log", what) for what in _command("verify_log")]
        differing = _command("check_projections")
        wrong += [Wrong("found by check_projections", what) for what in differing]
        wrong += [Wrong("unexpected errors", what) for what in ledger.surprises]
        wrong += [Wrong("unexpected errors", what) for what in _takes_changes()]
        self.report.lines += _what_is_there(ledger, log)


_HOME = {"postgresql": "cluster", "sqlite": "file"}


def _what_is_there(ledger: Ledger, log: Sequence[Row]) -> list[str]:
    there = {row.mark for row in log}
    flights = [operation.mark in there for operation in ledger.unanswered()]
    streams = len({row.stream for row in log})
    lines = [
        f"in flight when their process was killed: {len(flights)}, of which {sum(flights)} had"
        f" happened and {len(flights) - sum(flights)} had not",
        f"{len(log):,} events in {streams} conversations",
    ]
    if connection.vendor == "sqlite":
        lines.append(f'"database is locked" was said {ledger.locked} times')
    return lines


def _command(name: str, **options: Any) -> list[str]:
    """What a command has found wrong."""
    said = io.StringIO()
    try:
        call_command(name, stdout=said, stderr=said, **options)
    except SystemExit:
        return [said.getvalue()]
    return []


def _takes_changes() -> Iterator[str]:
    """Whether the database, restored or not, still refuses to change what was written."""
    for table in ("turnlog_event", "turnlog_position"):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {table}")
                transaction.set_rollback(True)
        except DatabaseError:
            continue
        yield f"{table} lets its rows be deleted"


@contextmanager
def _on(database: dict[str, Any]) -> Iterator[None]:
    """Work with another database for a while."""
    connections.close_all()
    before = dict(connection.settings_dict)
    connection.settings_dict.update(database)
    try:
        yield
    finally:
        connections.close_all()
        connection.settings_dict.update(before)


def _counted(kind: str, number: int) -> str:
    return f"{number} {kind}" if number == 1 else f"{number} {kind}s"


def _and(numbers: Sequence[int]) -> str:
    return " and ".join(f"{number:,}" for number in numbers)
