"""Following the log by position: what `run_projections` does."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models.functions import Now
from django.utils import timezone

from ..core.errors import ProjectionFailed
from ..events import runners
from ..events.dialects import dialect_of, log_database
from ..events.sequence import sequence
from . import applying, wake
from .checkpoints import ensure, find, is_outdated
from .models import Checkpoint
from .projection import Projection
from .reading import BATCH, events_between, last_position

if TYPE_CHECKING:
    from django.db.models import QuerySet

logger = logging.getLogger("turnlog")

TRIES = 3
RETRY_SECONDS = 1.0
HEARTBEAT_SECONDS = 2.0


class Worker:
    """Applies what is new in the log to async projections.

    Any number of workers may run: for each batch, whoever has the projection's lock applies it,
    and its checkpoint moves in the same transaction as its rows. So each event is applied exactly
    once, whichever worker is killed at whatever moment.
    """

    def __init__(self, projections: Sequence[Projection]) -> None:
        self.projections = [projection for projection in projections if not projection.inline]
        self.stopped = threading.Event()
        self._beaten = -HEARTBEAT_SECONDS
        self._try_stopped_ones_again()

    def run(self) -> None:
        """Follow the log until `stopped` is set."""
        listening, worked = False, False
        while not self.stopped.is_set():
            try:
                if not listening:
                    wake.listen()
                    listening = True
                before, worked = worked, self.turn()
                if not worked:
                    wake.wait_for_news(self.stopped, soon=before)
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database is away, trying again: %s", type(error).__name__)
                connections[log_database()].close()
                listening = False
                self.stopped.wait(RETRY_SECONDS)

    def catch_up(self) -> None:
        """Follow the log to its end as it is now, with the retries that takes."""
        while (worked := self.turn()) or any(map(is_failing, self.projections)):
            if self.stopped.wait(0 if worked else RETRY_SECONDS / 10):
                return

    def turn(self) -> bool:
        """One batch of each projection; whether there was anything to do."""
        self._beat()
        sequence()
        # All of them: one that has much to do must not keep the others waiting.
        worked = [advance(projection) for projection in self.projections]
        return any(worked)

    def _beat(self) -> None:
        if time.monotonic() - self._beaten < HEARTBEAT_SECONDS:
            return
        runner = runners.beat()
        for projection in self.projections:
            ensure(projection)
        self._checkpoints().update(heartbeat=Now(), worker=runner)
        self._beaten = time.monotonic()

    def _try_stopped_ones_again(self) -> None:
        self._checkpoints().exclude(failures=0).update(failures=0, retry_at=None)

    def _checkpoints(self) -> QuerySet[Checkpoint]:
        names = [projection.name for projection in self.projections]
        return Checkpoint.objects.using(log_database()).filter(name__in=names)


def advance(projection: Projection) -> bool:
    """Apply the next batch of a projection, if there is one and nobody else is at it."""
    seen = find(projection)
    if seen is not None and not _has_work(projection, seen):
        return False  # Without a lock: mostly there is nothing to do.
    using = log_database()
    with transaction.atomic(using=using):
        with connections[using].cursor() as cursor:
            dialect = dialect_of(connections[using])
            if not dialect.try_lock_projection(cursor, projection.name):
                return False
            dialect.use_indexes(cursor)
        checkpoint = ensure(projection)
        if not _has_work(projection, checkpoint):
            return False
        until = min(checkpoint.position + BATCH, last_position())
        events = events_between(checkpoint.position, until, projection)
        failed = applying.apply(projection, events)
        if failed is None:
            _move(checkpoint, until)
        else:
            place = (failed.stream_id, failed.version)
            [at] = [event.position for event in events if (event.stream_id, event.version) == place]
            _note_failure(projection, checkpoint, failed, at)
    return True


def is_stopped(projection: Projection, checkpoint: Checkpoint) -> bool:
    """Whether the projection has given up on an event."""
    return checkpoint.failures >= TRIES and projection.on_error == "stop"


def is_failing(projection: Projection) -> bool:
    """Whether an event could not be applied, and is to be tried again."""
    checkpoint = find(projection)
    return (
        checkpoint is not None
        and checkpoint.failures > 0
        and not is_stopped(projection, checkpoint)
    )


def _has_work(projection: Projection, checkpoint: Checkpoint) -> bool:
    if is_outdated(projection, checkpoint) or is_stopped(projection, checkpoint):
        return False
    if checkpoint.retry_at is not None and checkpoint.retry_at > timezone.now():
        return False
    return checkpoint.position < last_position()


def _move(checkpoint: Checkpoint, position: int) -> None:
    checkpoint.position = position
    checkpoint.failed_at = checkpoint.retry_at = None
    checkpoint.failures, checkpoint.error = 0, ""
    _save(checkpoint)


def _note_failure(
    projection: Projection, checkpoint: Checkpoint, failed: ProjectionFailed, at: int
) -> None:
    """Keep what came before the event; try the event again, and in the end park it or stop."""
    again = checkpoint.failed_at == at
    failures = checkpoint.failures + 1 if again else 1
    # Without the error's words: they may quote what people said.
    kind = type(failed.__cause__).__name__
    logger.error(
        "projection %r could not apply position %s: %s (try %s)",
        projection.name,
        at,
        kind,
        failures,
    )
    if failures >= TRIES and projection.on_error == "park":
        applying.park(projection, failed)
        _move(checkpoint, at)
        return
    checkpoint.position = at - 1
    checkpoint.failed_at, checkpoint.failures = at, failures
    checkpoint.error = failed.error
    checkpoint.retry_at = timezone.now() + dt.timedelta(seconds=RETRY_SECONDS * 2 ** (failures - 1))
    _save(checkpoint)


def _save(checkpoint: Checkpoint) -> None:
    # Not the columns of a rebuild, which somebody else may be writing.
    checkpoint.save(update_fields=["position", "failed_at", "failures", "retry_at", "error"])
