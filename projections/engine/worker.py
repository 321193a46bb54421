"""Follow the log by position: what `run_projections` does."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import IntegrityError, InterfaceError, OperationalError, connections
from django.db.models.functions import Now
from django.utils import timezone

from ...core import retrying
from ...core.errors import ProjectionFailed
from ...core.faults import is_lock_timeout, is_passing
from ...events import runners
from ...events.store.dialect import dialect_of
from ...events.store.isolation import locking
from ...events.store.sequence import sequence
from ...events.tables.database import log_database
from . import applying, wake
from .checkpoints import NEVER_BUILT, ensure, find, is_outdated
from .model import Checkpoint
from .projection import Projection
from .reading import BATCH, events_between, last_position

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from ...events.models import Event

logger = logging.getLogger("turnlog")

HEARTBEAT_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 0.05


class Worker:
    """Applies new events of the log to async projections.

    Any number of workers may run: the worker that has the projection's lock applies the next batch,
    and the checkpoint moves in the same transaction as the rows. So each event is applied exactly
    once, even if workers are killed at any moment.
    """

    def __init__(self, projections: Sequence[Projection]) -> None:
        self.projections = [projection for projection in projections if not projection.inline]
        self.stopped = threading.Event()
        self._beaten = -HEARTBEAT_SECONDS
        self._try_stopped_ones_again()

    def run(self) -> None:
        """Follow the log until `stopped` is set."""
        listening, worked = False, False
        pauses = retrying.FOLLOWING.pauses()
        while not self.stopped.is_set():
            try:
                if not listening:
                    wake.listen()
                    listening = True
                before, worked = worked, self.turn()
                pauses = retrying.FOLLOWING.pauses()
                if not worked:
                    wake.wait_for_news(self.stopped, soon=before)
            except (OperationalError, InterfaceError) as error:
                if not is_passing(error):
                    raise
                logger.warning(
                    "the database is unreachable, trying again: %s", type(error).__name__
                )
                connections[log_database()].close()
                listening = False
                self.stopped.wait(next(pauses))

    def catch_up(self) -> None:
        """Follow the log to its present end, including the retries that this takes.

        It leaves no heartbeat, because it does not run on.
        """
        sequence()
        until = last_position()
        while any(is_behind(projection, until) for projection in self.projections):
            worked = [advance(projection) for projection in self.projections]
            # Another worker may be applying the batch, or an event waits for its next try.
            if self.stopped.wait(0 if any(worked) else _LOOK_AGAIN_SECONDS):
                return

    def turn(self) -> bool:
        """Apply one batch of each projection; return whether there was anything to do."""
        sequence()
        # All of them: a projection with much to do must not keep the others waiting.
        worked = [self._look_after(projection) for projection in self.projections]
        return any(worked)

    def _look_after(self, projection: Projection) -> bool:
        self._beat()
        return advance(projection)

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


def advance(projection: Projection, limit: int | None = None) -> bool:
    """Apply a projection's next events, unless there are none or another worker is at it."""
    seen = find(projection)
    last = last_position()
    if seen is not None and seen.position > last:
        # The log was restored from an older backup. Once the log has grown again, the gap would no
        # longer show, so the projection stops until it is rebuilt.
        Checkpoint.objects.using(log_database()).filter(name=seen.name).update(version=NEVER_BUILT)
        return False
    if seen is not None and not _has_work(projection, seen, last):
        return False  # Found without a lock: usually there is nothing to do.
    limit = limit or BATCH
    try:
        return _advance(projection, limit, seen)
    except OperationalError as error:
        if is_lock_timeout(error):
            return False
        raise
    except IntegrityError as error:
        # SQLite checks foreign keys at the commit: find the event at fault.
        if limit > 1:
            return advance(projection, 1)
        return _advance(projection, 1, seen, refused=error)


def _advance(
    projection: Projection,
    limit: int,
    seen: Checkpoint | None,
    refused: Exception | None = None,
) -> bool:
    using = log_database()
    with locking(using):
        with connections[using].cursor() as cursor:
            dialect = dialect_of(connections[using])
            # One of several workers is enough, so usually a try will do. But rebuilds share the
            # lock, one chunk after another: a mere try would find it taken until the last one ends.
            rebuilding = seen is not None and seen.rebuilder is not None
            take = dialect.queue_for_projection if rebuilding else dialect.try_lock_projection
            if not take(cursor, projection.name):
                return False
            dialect.use_indexes(cursor)
        checkpoint = ensure(projection)
        last = last_position()
        if not _has_work(projection, checkpoint, last):
            return False
        until = min(checkpoint.position + limit, last)
        events = events_between(checkpoint.position, until, projection)
        failed = _apply(projection, events, refused)
        if failed is None:
            _move(checkpoint, until)
        else:
            place = (failed.stream_id, failed.version)
            [at] = [event.position for event in events if (event.stream_id, event.version) == place]
            _note_failure(projection, checkpoint, failed, at)
    return True


def _apply(
    projection: Projection, events: Sequence[Event], refused: Exception | None
) -> ProjectionFailed | None:
    if refused is not None and events:
        return applying.failure(projection, events[0], refused)
    return applying.apply(projection, events)


def is_stopped(projection: Projection, checkpoint: Checkpoint) -> bool:
    """Return whether the projection has given up on an event."""
    return checkpoint.failures >= retrying.EVENT_TRIES and projection.on_error == "stop"


def is_behind(projection: Projection, position: int) -> bool:
    """Return whether a projection is before a position and can still get there."""
    checkpoint = ensure(projection)
    if is_outdated(projection, checkpoint) or is_stopped(projection, checkpoint):
        return False
    return checkpoint.position < position


def _has_work(projection: Projection, checkpoint: Checkpoint, last: int) -> bool:
    if is_outdated(projection, checkpoint) or is_stopped(projection, checkpoint):
        return False
    if checkpoint.retry_at is not None and checkpoint.retry_at > timezone.now():
        return False
    return checkpoint.position < last


def _move(checkpoint: Checkpoint, position: int) -> None:
    checkpoint.position = position
    checkpoint.failed_at = checkpoint.retry_at = None
    checkpoint.failures, checkpoint.error = 0, ""
    _save(checkpoint)


def _note_failure(
    projection: Projection, checkpoint: Checkpoint, failed: ProjectionFailed, at: int
) -> None:
    """Keep what came before the event; try the event again, and after the last try park or stop."""
    again = checkpoint.failed_at == at
    failures = checkpoint.failures + 1 if again else 1
    # Without the error's text: it may quote what people said.
    kind = type(failed.__cause__).__name__
    logger.error(
        "projection %r could not apply position %s: %s (try %s)",
        projection.name,
        at,
        kind,
        failures,
    )
    if failures >= retrying.EVENT_TRIES and projection.on_error == "park":
        applying.park(projection, failed)
        _move(checkpoint, at)
        return
    checkpoint.position = at - 1
    checkpoint.failed_at, checkpoint.failures = at, failures
    checkpoint.error = failed.error
    pause = retrying.EVENT_PAUSE * 2 ** (failures - 1)
    checkpoint.retry_at = timezone.now() + dt.timedelta(seconds=pause)
    _save(checkpoint)


def _save(checkpoint: Checkpoint) -> None:
    # Not the columns of a rebuild, which another process may be writing.
    checkpoint.save(update_fields=["position", "failed_at", "failures", "retry_at", "error"])
