"""Workers as they run in production: processes that are killed, stopped and woken."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import Sum
from langchain_core.messages import AIMessage

from tests.project.tally.models import Tally
from turnlog.events.models import Conversation
from turnlog.projections.checking import differences
from turnlog.projections.models import Checkpoint
from turnlog.projections.registry import named
from turnlog.projections.worker import Worker

from .processes import start, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

[TALLY] = named(["tally"])


@pytest.fixture
def workers() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def rooms() -> list[Conversation]:
    return [Conversation.objects.create() for _ in range(3)]


def say(rooms: list[Conversation], times: int) -> None:
    for number in range(times):
        rooms[number % len(rooms)].record_turn("ab", AIMessage("ok"))


def messages() -> int:
    return Tally.objects.aggregate(sum=Sum("messages"))["sum"] or 0


def test_a_worker_follows_and_stops_cleanly(rooms: list[Conversation], workers: list[Any]) -> None:
    workers.append(start("run_projections", "tally", "--json"))
    wait_until(lambda: Checkpoint.objects.filter(name="tally").exists(), workers[0])
    say(rooms, 5)
    wait_until(lambda: messages() == 10, workers[0])
    say(rooms, 5)
    wait_until(lambda: messages() == 20, workers[0])
    workers[0].send_signal(signal.SIGTERM)
    out, err = workers[0].communicate(timeout=30)
    assert (workers[0].returncode, err) == (0, "")
    assert json.loads(out)["projections"][0]["lag_events"] == 0


def test_of_two_workers_one_is_killed_and_the_other_goes_on(
    rooms: list[Conversation], workers: list[Any]
) -> None:
    workers += [start("run_projections", "tally") for _ in range(2)]
    wait_until(lambda: Checkpoint.objects.filter(name="tally").exists(), workers[0])
    for killed in (0, None):
        before = messages()
        say(rooms, 30)
        if killed is not None:
            # In the middle of what was said, if it is the one that is at work.
            wait_until(lambda before=before: messages() > before, workers[1])
            workers[killed].kill()
        wait_until(lambda before=before: messages() == before + 60, workers[1])
    assert differences(TALLY, [room.pk for room in rooms]) == {}


def test_killed_again_and_again_each_event_is_applied_once(rooms: list[Conversation]) -> None:
    say(rooms, 60)
    for wanted in (1, 40, 80):
        process = start("run_projections", "tally", TURNLOG_TEST_BATCH="7")
        wait_until(lambda wanted=wanted: messages() >= wanted, process)
        process.kill()
        process.communicate()
        assert differences(TALLY, [room.pk for room in rooms]) == {}
    Worker([TALLY]).catch_up()
    assert messages() == 120
