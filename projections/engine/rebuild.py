"""A whole rebuild: one process claims it, works through it chunk by chunk, and can resume it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from django.db import connections

from ...core.errors import NothingToResume, RebuildCutOff, RebuildInProgress
from ...events import runners
from ...events.models import Runner
from ...events.store.dialect import dialect_of
from ...events.store.isolation import locking
from ...events.store.sequence import sequence
from ...events.tables.database import log_database
from . import processes
from .checkpoints import NEVER_BUILT, find, is_outdated
from .chunks import Chunk, chunks, rebuild_chunk
from .model import Checkpoint
from .projection import Projection
from .reading import last_position


def rebuild(projection: Projection, *, workers: int = 1, resume: bool = False) -> Iterator[Chunk]:
    """Rebuild all conversations of a projection; yield each chunk once it is done.

    `workers` is the number of processes. With `resume`, a rebuild that was cut off continues.
    Raises RebuildInProgress, NothingToResume, ProjectionFailed.
    """
    claimed = _claim(projection, resume)
    try:
        with _hands(projection, workers) as work_off:
            beaten = time.monotonic()
            for chunk in work_off(chunks(after=claimed.rebuilt_until)):
                if time.monotonic() - beaten > runners.heartbeat_seconds():
                    runners.beat()
                    beaten = time.monotonic()
                _update(projection, rebuilt_until=chunk.streams[-1])
                yield chunk
        made = {"version": projection.version, "inline": projection.inline}
        _update(projection, **made, rebuild_version=None, rebuilt_until=0)
    finally:
        # Unless another process has meanwhile taken this one for dead and begun its own rebuild.
        own = Checkpoint.objects.using(log_database()).filter(rebuilder=claimed.rebuilder)
        own.filter(name=projection.name).update(rebuilder=None)


def was_cut_off(projection: Projection) -> bool:
    """Return whether a rebuild has begun and not ended."""
    checkpoint = find(projection)
    return checkpoint is not None and checkpoint.rebuild_version is not None


def _claim(projection: Projection, resume: bool) -> Checkpoint:
    sequence()
    using = log_database()
    with locking(using):
        with connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_projection(cursor, projection.name)
        checkpoint = find(projection) or Checkpoint(
            name=projection.name, version=NEVER_BUILT, inline=projection.inline
        )
        if checkpoint.rebuilder is not None and not runners.is_gone(checkpoint.rebuilder):
            raise RebuildInProgress(projection.name, _who(checkpoint.rebuilder))
        if resume:
            _require_resumable(projection, checkpoint)
        else:
            checkpoint.rebuild_version, checkpoint.rebuilt_until = projection.version, 0
            checkpoint.failures, checkpoint.failed_at, checkpoint.retry_at = 0, None, None
            checkpoint.error = ""
        if is_outdated(projection, checkpoint):
            # A worker that still runs the old code must not add to rows that are being rebuilt.
            checkpoint.version = NEVER_BUILT
        if not resume and not projection.inline and not _is_position(checkpoint):
            # The rebuild makes all rows up to here. The worker waits until it is done; otherwise
            # readers would see the ends of conversations first.
            checkpoint.position, checkpoint.version = last_position(), NEVER_BUILT
            checkpoint.inline = False
        checkpoint.rebuilder = runners.beat()
        checkpoint.save(using=using)
    return checkpoint


def planned_position(projection: Projection) -> int | None:
    """Return the position up to which a rebuild would make rows; None for each stream's head."""
    checkpoint = find(projection)
    if projection.inline:
        return None
    if checkpoint is None or not _is_position(checkpoint):
        return last_position()
    return checkpoint.position


def _is_position(checkpoint: Checkpoint) -> bool:
    """Return whether the rows follow from the log up to `position`.

    They do not if nothing was ever applied, if they were kept inline, or if the log is another one
    now.
    """
    return 0 < checkpoint.position <= last_position() and not checkpoint.inline


def _require_resumable(projection: Projection, checkpoint: Checkpoint) -> None:
    if checkpoint.rebuild_version is None:
        raise NothingToResume(projection.name, "none was cut off")
    if checkpoint.rebuild_version != projection.version:
        raise NothingToResume(
            projection.name,
            f"the one that was cut off made rows of version {checkpoint.rebuild_version}, but the"
            f" projection is now version {projection.version}",
        )


def _who(runner_id: Any) -> str:
    runner = Runner.objects.using(log_database()).get(pk=runner_id)
    return f"process {runner.pid} on {runner.host}"


def _update(projection: Projection, **columns: Any) -> None:
    checkpoints = Checkpoint.objects.using(log_database())
    checkpoints.filter(name=projection.name).update(**columns)


WorkOff = Callable[[Iterator[Chunk]], Iterator[Chunk]]


@contextmanager
def _hands(projection: Projection, workers: int) -> Iterator[WorkOff]:
    connection = connections[log_database()]
    # SQLite has one writer at a time: more processes would only wait for each other.
    if workers == 1 or connection.vendor == "sqlite":
        yield lambda todo: _one_by_one(projection, todo)
        return
    with ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=processes.begin,
        initargs=(connection.alias, dict(connection.settings_dict)),
    ) as pool:
        yield lambda todo: _in_processes(pool, workers, projection, todo)


def _one_by_one(projection: Projection, todo: Iterator[Chunk]) -> Iterator[Chunk]:
    for chunk in todo:
        rebuild_chunk(projection, chunk.streams)
        yield chunk


def _in_processes(
    pool: ProcessPoolExecutor, workers: int, projection: Projection, todo: Iterator[Chunk]
) -> Iterator[Chunk]:
    """Yield chunks in order, each once it and all before it are done: the progress has no gaps."""
    under_way: deque[tuple[Chunk, Future[None]]] = deque()
    try:
        for chunk in todo:
            future = pool.submit(processes.rebuild_streams, projection.name, chunk.streams)
            under_way.append((chunk, future))
            if len(under_way) > 2 * workers:
                yield _done(*under_way.popleft())
        while under_way:
            yield _done(*under_way.popleft())
    finally:
        for _, future in under_way:
            future.cancel()


def _done(chunk: Chunk, future: Future[None]) -> Chunk:
    try:
        future.result()
    except BrokenProcessPool as error:
        raise RebuildCutOff(
            "a process of the rebuild ended in the middle of its work, perhaps because memory ran"
            " out; run the rebuild again with --resume, and with fewer --workers if necessary"
        ) from error
    return chunk
