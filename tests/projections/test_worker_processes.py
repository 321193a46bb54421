"""Workers as they run in production: processes that are killed, stopped and woken."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from langchain_core.messages import AIMessage

from tests.project.tally.models import Tally
from turnlog.events.models import Conversation
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.chunks import giving_way, locked
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Checkpoint

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


@pytest.mark.postgresql
def test_a_worker_outlives_its_connection(rooms: list[Conversation], workers: list[Any]) -> None:
    """As when PostgreSQL is restarted while nothing happens."""
    workers.append(start("run_projections", "tally"))
    say(rooms, 1)
    wait_until(lambda: messages() == 2, workers[0])
    for _ in range(2):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        before = messages()
        say(rooms, 1)
        wait_until(lambda before=before: messages() == before + 2, workers[0])


@pytest.mark.postgresql
def test_a_worker_goes_on_beside_the_processes_of_a_rebuild(rooms: list[Conversation]) -> None:
    """Who only tried for the lock would find it taken until they have all ended."""
    Worker([TALLY]).turn()
    Checkpoint.objects.filter(name="tally").update(rebuilder=uuid.uuid4())
    say(rooms, 1)
    taken, done = [0, 0], threading.Event()
    news = threading.Condition()

    def rebuild_on(mine: int, others: int) -> None:
        def hold(streams: Any) -> None:
            with locked(TALLY, streams), news:
                # Until the other has taken it anew: there is no moment without one of them.
                taken[mine] += 1
                news.notify_all()
                news.wait_for(lambda seen=taken[others]: taken[others] > seen, timeout=1)

        while not done.is_set():
            giving_way([rooms[mine].pk], hold)
        connection.close()

    rebuilding = [threading.Thread(target=rebuild_on, args=pair) for pair in ((0, 1), (1, 0))]
    for thread in rebuilding:
        thread.start()
    with news:
        news.wait_for(lambda: min(taken) > 0, timeout=30)
    try:
        Worker([TALLY]).turn()
        assert messages() == 2
    finally:
        done.set()
        for thread in rebuilding:
            thread.join()
