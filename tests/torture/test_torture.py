"""Briefly, what `make torture` does at length; and that its judge sees what it is there for."""

from __future__ import annotations

import random
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from .judging import Row, judge, judge_reader
from .ledger import Ledger
from .reader import Journal, Seen

TURN = uuid.UUID(int=7)


def torture(database: str) -> None:
    # Bounded: a slow machine kills fewer. The seed is printed with what went wrong.
    size = ["--kills=25", f"--seed={random.SystemRandom().randrange(10**6)}", "--seconds=40"]
    command = [sys.executable, "-m", "tests.torture", database, *size]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


def test_killed_at_any_moment_everything_is_there_once() -> None:
    torture(connection.vendor)


@pytest.mark.sqlite
def test_killed_at_any_moment_with_djangos_own_settings() -> None:
    torture("sqlite-plain")


# The judge. What it is given is right at first, and then damaged.


def a_ledger() -> Ledger:
    """A turn, a clearing and a transaction of two batches, all acknowledged; one turn in flight
    and one refused."""
    ledger = Ledger()
    turn = ["MessageAppended", "ToolOutputRecorded", "MessageAppended"]
    for mark, types, transaction in (
        ("turn", turn, "turn"),
        ("clearing", ["ConversationCleared"], "clearing"),
        ("first", ["MessageAppended"] * 2, "both"),
        ("second", ["MessageAppended"], "both"),
        ("flying", ["MessageAppended"] * 2, "flying"),
        ("refused", ["MessageAppended"] * 2, "refused"),
    ):
        ledger.note("w", {"begin": mark, "stream": 1, "types": types, "transaction": transaction})
    ledger.note("w", {"refused": "refused", "why": "ConcurrencyError"})
    for mark in ("turn", "clearing", "first", "second"):
        places = [(row.version, row.hash) for row in a_log() if row.mark == mark]
        ledger.note("w", {"done": mark, "places": places})
    ledger.ended("w")
    return ledger


def a_log() -> list[Row]:
    types = [("ConversationOpened", ""), ("MessageAppended", "turn")]
    types += [("ToolOutputRecorded", "turn"), ("MessageAppended", "turn")]
    types += [("ConversationCleared", "clearing"), ("MessageAppended", "first")]
    types += [("MessageAppended", "first"), ("MessageAppended", "second")]
    return [
        Row(1, version, kind, TURN if mark == "turn" else None, f"hash-{version}", mark)
        for version, (kind, mark) in enumerate(types, start=1)
    ]


def numbered(log: list[Row]) -> list[Row]:
    """Without gaps, with the hashes that they have."""
    return [row._replace(version=version) for version, row in enumerate(log, start=1)]


def without(*marks: str) -> Callable[[list[Row]], list[Row]]:
    return lambda log: numbered([row for row in log if row.mark not in marks])


def with_flying(log: list[Row]) -> list[Row]:
    types = ("MessageAppended",) * 2
    return numbered([*log, *(Row(1, 0, kind, None, "new", "flying") for kind in types)])


def started(*turns: int) -> Callable[[list[Row]], list[Row]]:
    more = [Row(1, 0, "TurnStarted", uuid.UUID(int=turn), "new", "") for turn in turns]
    return lambda log: numbered([*log, *more])


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert list(judge(a_ledger(), a_log())) == []
    assert list(judge(a_ledger(), with_flying(a_log()))) == []
    [flying] = a_ledger().unanswered()
    assert flying.mark == "flying"


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (without("second", "first"), "lost"),
        (without("second"), "torn"),
        (lambda log: numbered([*log, log[-1]]), "doubled"),
        (lambda log: numbered([*log, *log[1:4]]), "doubled"),
        (lambda log: with_flying(log)[:-1], "torn"),
        (lambda log: numbered([*log[:2], *log[3:]]), "torn"),
        (lambda log: numbered([*log[:2], log[4], *log[2:4], *log[5:]]), "torn"),
        (lambda log: [*log[:-1], log[-1]._replace(hash="other")], "changed"),
        (lambda log: [*log[:-1], log[-1]._replace(version=9)], "gaps in versions"),
        (lambda log: [*log, Row(1, 9, "MessageAppended", None, "new", "new")], "out of nowhere"),
        (lambda log: [*log, Row(1, 9, "MessageAppended", None, "new", "")], "out of nowhere"),
        (
            lambda log: [*log, *(Row(1, 9 + n, log[1].type, None, "", "refused") for n in (0, 1))],
            "refused and yet there",
        ),
        (started(8, 9), "turns at the same time"),
        (started(8, 8), "doubled"),
    ],
)
def test_the_judge_sees(damage: Callable[[list[Row]], list[Row]], kind: str) -> None:
    assert kind in {wrong.kind for wrong in judge(a_ledger(), damage(a_log()))}


def test_a_restored_log_may_lack_what_came_after_the_dump() -> None:
    restored = a_ledger().restored({"turn", "clearing"})
    assert list(judge(restored, without("first", "second")(a_log()))) == []
    assert list(judge(restored, a_log())) == []
    assert {wrong.kind for wrong in judge(restored, without("clearing")(a_log()))} >= {"lost"}


def seen() -> list[Seen]:
    return [Seen(row.version, row.stream, row.version, row.hash) for row in a_log()]


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:-1],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:3], *lines[4:]],
        lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
        lambda lines: [*lines[:-1], lines[-1]._replace(hash="other")],
    ],
)
def test_the_judge_sees_what_a_reader_missed(damage: Callable[[list[Seen]], list[Seen]]) -> None:
    assert list(judge_reader("reader", seen(), a_log())) == []
    assert list(judge_reader("reader", damage(seen()), a_log()))


def test_a_journal_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("1 5 1 aa\n2 5 2 bb\n3 5")
    journal = Journal(path)
    assert journal.position == 2
    assert journal.lines() == [Seen(1, 5, 1, "aa"), Seen(2, 5, 2, "bb")]
