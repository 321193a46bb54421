"""Writers in processes of their own, and a reader that follows them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import connection

from turnlog.events.log import read, read_all
from turnlog.events.models import Conversation, Event
from turnlog.events.proof.verification import Verifier
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.registry import named

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 4
TURNS = 25


@pytest.fixture
def streams() -> list[int]:
    return [Conversation.objects.create().pk for _ in range(2)]


class Writer:
    """A process that is ready to record turns, and waits to be told."""

    def __init__(self, streams: list[int], seed: int) -> None:
        environment = {**os.environ, "TURNLOG_TEST_NAME": str(connection.settings_dict["NAME"])}
        command = [sys.executable, "-m", "tests.events.writer", *map(str, streams), str(TURNS)]
        self.process = subprocess.Popen(
            [*command, str(seed)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready\n"

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *args: Any) -> None:
        self.process.kill()
        self.process.communicate()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def acknowledged(self, count: int) -> list[uuid.UUID]:
        """The next turns whose recording the writer has been told of, as many as still come."""
        lines = [self._line() for _ in range(count)]
        return [uuid.UUID(line.strip()) for line in lines if line.endswith("\n")]

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def check_log(streams: list[int], turns: list[uuid.UUID]) -> None:
    """Each acknowledged turn is there once and whole, and everything follows from the log."""
    assert [str(problem) for problem in Verifier().whole()] == []
    for stream in streams:
        versions = [event.version for event in read(stream)]
        assert versions == list(range(1, len(versions) + 1))
    assert differences(named(["messages"])[0], streams) == {}
    of_turns = list(
        Event.objects.filter(turn_id__in=turns, type="MessageAppended")
        .order_by("stream_id", "version")
        .values_list("turn_id", "version")
    )
    assert len(of_turns) == 2 * len(turns)
    for (turn, human), (same_turn, answer) in zip(of_turns[::2], of_turns[1::2], strict=True):
        assert turn == same_turn
        assert answer == human + 1


def test_many_processes_write_and_a_reader_misses_nothing(streams: list[int]) -> None:
    seen: list[tuple[int, int, int]] = []

    def follow() -> None:
        after = seen[-1][0] if seen else 0
        seen.extend((e.position, e.stream_id, e.version) for e in read_all(after=after))

    with ExitStack() as stack:
        writers = [stack.enter_context(Writer(streams, seed)) for seed in range(WRITERS)]
        for writer in writers:
            writer.go()
        while any(writer.process.poll() is None for writer in writers):
            follow()
        turns = [turn for writer in writers for turn in writer.acknowledged(TURNS)]
    follow()

    assert len(set(turns)) == WRITERS * TURNS
    check_log(streams, turns)
    assert [position for position, _, _ in seen] == list(range(1, len(seen) + 1))
    assert len(seen) == Event.objects.count()
    for stream in streams:
        versions = [version for _, of, version in seen if of == stream]
        assert versions == list(range(1, len(versions) + 1))


def test_writers_that_are_killed_leave_whole_turns(streams: list[int]) -> None:
    turns: list[uuid.UUID] = []
    for seed in range(3):
        with Writer(streams, seed) as writer:
            writer.go()
            # Somewhere in the middle: once some turns are acknowledged.
            turns += writer.acknowledged(3 + 4 * seed)
            writer.process.kill()
            turns += writer.acknowledged(TURNS)
    check_log(streams, turns)


@pytest.mark.postgresql
def test_a_slow_transaction_is_not_skipped_by_a_reader(streams: list[int]) -> None:
    """It takes its ids first and commits last: whoever followed ids would never see it."""
    import threading

    from django.db import transaction

    from turnlog.events.log import NewEvent, append
    from turnlog.events.types import ConversationCleared

    appended, overtaken = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            append(streams[0], [NewEvent(ConversationCleared())])
            appended.set()
            overtaken.wait(30)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    appended.wait(30)
    append(streams[1], [NewEvent(ConversationCleared())])
    first = [(e.position, e.stream_id) for e in read_all()]
    overtaken.set()
    thread.join()
    second = [(e.position, e.stream_id) for e in read_all(after=first[-1][0])]
    assert first == [(1, streams[1]), (2, streams[1])]
    assert second == [(3, streams[0]), (4, streams[0])]


@pytest.mark.sqlite
def test_eight_threads_are_never_told_that_the_database_is_locked(streams: list[int]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from langchain_core.messages import AIMessage

    def work(number: int) -> None:
        conversation = Conversation.objects.get(pk=streams[number % 2])
        for _ in range(15):
            conversation.record_turn("hello", AIMessage("hi"))
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert Event.objects.filter(type="MessageAppended").count() == 2 * 8 * 15
