"""Rebuilding a million events: against the engine, against a bare loop, and beside people."""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

from django.core.management import call_command
from django.db import connection

from turnlog.events.models import Conversation
from turnlog.events.store.sequence import sequence
from turnlog.projections.engine.rebuild import rebuild
from turnlog.projections.engine.registry import named
from turnlog.projections.messages.projection import MessagesProjection

from .setting import answer, connect, human, timed

EVENTS = int(os.environ.get("TURNLOG_BENCHMARK_EVENTS", "1000000"))
TURNS = 400

# The same rows, of everything at once: what the engine can do.
ENGINE = MessagesProjection.insert.format(events="turnlog_event")
FETCH = (
    "SELECT id, stream_id, version, type, schema, turn_id, actor_id, recorded_at, payload, metadata"
    " FROM turnlog_event WHERE type IN ('MessageAppended', 'ToolOutputRecorded')"
    " ORDER BY stream_id, version"
)
COPY = (
    "COPY tally_line (conversation_id, version, turn_id, actor_id, content, created_at) FROM STDIN"
)
# Says how much memory it had at most, in KB.
REBUILD = """
import resource
import django
django.setup()
from django.core.management import call_command
call_command("rebuild_projections", "lines", "--json")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True)
class Measured:
    """Seconds and KB, for half the events and for all of them."""

    seconds: tuple[float, float]
    memory: tuple[int, int]


@functools.cache
def measured() -> Measured:
    """Make the events, one half after the other, and rebuild after each."""
    found = [_half(seed) for seed in (1, 2)]
    return Measured((found[0][0], found[1][0]), (found[0][1], found[1][1]))


def _half(seed: int) -> tuple[float, int]:
    call_command("generate_events", "--json", "--force", events=EVENTS // 2, seed=seed)
    sequence()
    _tidy("turnlog_event", "turnlog_message", "turnlog_position")
    memory = _memory()
    # Twice, for a checkpoint of the database may fall into one of them.
    seconds = [timed(lambda: list(rebuild(named(["messages"])[0]))) for _ in range(2)]
    return min(seconds), memory


def _tidy(*tables: str) -> None:
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"VACUUM ANALYZE {table}")


def _memory() -> int:
    environment = {**os.environ, "TURNLOG_TEST_NAME": str(connection.settings_dict["NAME"])}
    command = [sys.executable, "-c", REBUILD]
    out = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return int(out.stdout.split()[-1])


def twice_the_events(user: Any) -> float:
    half, whole = measured().seconds
    return whole / half


def memory(user: Any) -> float:
    half, whole = measured().memory
    return whole / half


def over_old_rows(user: Any) -> float:
    """A rebuild while all rows are there, of one INSERT ... SELECT of them into the empty table."""
    return _set_based(emptied=False)


def into_an_empty_table(user: Any) -> float:
    """A rebuild that writes every row, of one INSERT ... SELECT of them."""
    return _set_based(emptied=True)


def _set_based(*, emptied: bool) -> float:
    measured()
    [messages] = named(["messages"])
    ratios = []
    for _ in range(3):
        _empty("turnlog_message")
        theirs = timed(_engine)
        if emptied:
            _empty("turnlog_message")
        _tidy("turnlog_message")
        ratios.append(theirs / timed(lambda: list(rebuild(messages))))
    return statistics.median(ratios)


def _engine() -> None:
    with connection.cursor() as cursor:
        cursor.execute(ENGINE)


def _empty(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")


def by_python(user: Any) -> float:
    """A projection that copies each message in Python into an empty table, of fetching the events
    and COPYing the rows with nothing else to do."""
    measured()
    [lines] = named(["lines"])
    ratios = []
    for _ in range(3):
        _empty("tally_line")
        theirs = timed(_fetch_and_copy)
        _empty("tally_line")
        ratios.append(theirs / timed(lambda: list(rebuild(lines))))
    return statistics.median(ratios)


def _fetch_and_copy() -> None:
    with (
        connect() as reading,
        connect() as writing,
        reading.transaction(),
        reading.cursor("events") as events,
        writing.cursor() as cursor,
    ):
        events.itersize = 5000
        events.execute(FETCH)
        with cursor.copy(COPY) as copy:
            for _, stream, version, _, _, turn, actor, at, payload, _ in events:
                copy.write_row((stream, version, turn, actor, payload, at))


def beside_people(user: Any) -> float:
    """p99 of recording a turn while a rebuild runs, against the p99 without."""
    measured()
    rooms = [Conversation.objects.create(user=user) for _ in range(20)]
    alone = _p99(rooms, user)
    stop = threading.Event()

    def rebuild_on() -> None:
        while not stop.is_set():
            for _ in rebuild(named(["messages"])[0]):
                if stop.is_set():
                    break
        connection.close()

    rebuilding = threading.Thread(target=rebuild_on)
    rebuilding.start()
    beside = _p99(rooms, user)
    stop.set()
    rebuilding.join()
    return beside / alone


def _p99(rooms: list[Conversation], user: Any) -> float:
    times = [
        timed(room.record_turn, human(), answer(), user=user)
        for _ in range(TURNS // 4)
        for room in rooms[:4]
    ]
    return statistics.quantiles(times, n=100)[-1]
