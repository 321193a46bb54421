"""How far the worker is behind while people talk."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from typing import Any

from django.db import connection

from turnlog.events.models import Conversation, Position
from turnlog.projections.engine.checkpoints import find
from turnlog.projections.engine.projection import Projection
from turnlog.projections.engine.registry import named

from .setting import answer, human

TURNS_A_SECOND = 200
SECONDS = 15


def lag(user: Any) -> float:
    """Seconds from a turn's commit until a worker has applied it, the median."""
    [usage] = named(["usage"])
    rooms = [Conversation.objects.create(user=user) for _ in range(20)]
    worker = subprocess.Popen(
        [sys.executable, "-m", "django", "run_projections", "usage"],
        env={**os.environ, "TURNLOG_TEST_NAME": str(connection.settings_dict["NAME"])},
        stdout=subprocess.DEVNULL,
    )
    watch = Watch(usage)
    try:
        rooms[0].record_turn(human(), answer(), user=user)
        watch.wait_for_the_end()
        committed = _talk(rooms, user)
        watch.wait_for_the_end()
    finally:
        watch.stop()
        worker.terminate()
        worker.wait()
    at = {(p.stream_id, p.version): p.position for p in Position.objects.all()}
    lags = [watch.reached(at[place]) - when for place, when in committed.items()]
    return statistics.median(lags)


def _talk(rooms: list[Conversation], user: Any) -> dict[tuple[int, int], float]:
    """Record turns at a steady pace; when each was committed, by its last event's place."""
    committed = {}
    begun = time.monotonic()
    for number in range(TURNS_A_SECOND * SECONDS):
        time.sleep(max(0.0, begun + number / TURNS_A_SECOND - time.monotonic()))
        last = rooms[number % len(rooms)].record_turn(human(), answer(), user=user)[-1]
        committed[last.stream_id, last.version] = time.monotonic()
    return committed


class Watch:
    """Notes when a projection's checkpoint was seen where."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._seen: list[tuple[int, float]] = [(0, time.monotonic())]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stopped.wait(0.005):
            checkpoint = find(self._projection)
            position = checkpoint.position if checkpoint else 0
            if position > self._seen[-1][0]:
                self._seen.append((position, time.monotonic()))
        connection.close()

    def wait_for_the_end(self) -> None:
        from turnlog.projections.engine.status import status

        while status(self._projection, max_lag=60).lag_events != 0:
            time.sleep(0.05)
        time.sleep(0.05)

    def reached(self, position: int) -> float:
        """When the checkpoint was first seen there or beyond."""
        return self._seen[bisect_left(self._seen, (position, 0.0))][1]

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
