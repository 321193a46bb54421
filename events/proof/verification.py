"""Verifies that the log is still what was written and what signed checkpoints promised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connections

from ...core.errors import ConfigurationError, LogDamaged
from ..store.append_only import unguarded
from ..store.foreign import foreign, log_tables
from ..tables.database import log_database
from . import outside, rows, tables
from .blobs import Blobs, has_blobs
from .keys import known_keys
from .merkle import is_included, leaf_hash
from .notes import Checkpoint, PublicKey
from .problems import Problem
from .promises import Promises, check_whole
from .raw import snapshot
from .rows import Row
from .streams import Anchor, Stream
from .texts import check_texts
from .tiles import StoredTree

_EVERY = 1000


class Verifier:
    """Finds problems, and counts what it has checked; memory grows with the blobs alone.

    `keys` are the public keys for checking checkpoints. `notes`, pairs (name, signed note), are
    checkpoints that the caller has kept and that must still hold. The verifier calls `tick` now and
    then with the number of events checked since the last call.
    """

    def __init__(
        self,
        keys: Sequence[PublicKey] = (),
        notes: Iterable[tuple[str, str]] = (),
        tick: Callable[[int], object] = lambda events: None,
    ) -> None:
        self.events = 0
        self.streams = 0
        self.checkpoints = 0
        self._keys, self._notes, self._tick = keys, list(notes), tick
        self._outside: list[tuple[str, str]] = []
        self._blobs = Blobs()

    def whole(self) -> Iterator[Problem]:
        """Yield each problem with the log, its positions, its checkpoints and its triggers."""
        with self._snapshot():
            yield from self._triggers()
            promises = self._promises()
            yield from promises.problems
            yield from self._streams(rows.events(), tables.pending())
            yield from check_whole(promises)
            yield from check_texts()
            yield from self._blobs.rest()
            yield from _without_row()

    def conversation(self, stream_id: int) -> Iterator[Problem]:
        """Yield each problem with one stream, also compared with the last checkpoint."""
        yield from self._some("WHERE {}.stream_id = " + str(int(stream_id)))

    def sample(self, part: int, parts: int) -> Iterator[Problem]:
        """The same for one part of all streams: those with stream_id % parts == part."""
        yield from self._some("WHERE {}.stream_id %" + f" {int(parts)} = {int(part)}")

    def since_checkpoint(self) -> Iterator[Problem]:
        """Yield each problem with what came after the last checkpoint, and rely on that checkpoint.

        Raises ConfigurationError if there is none.
        """
        with self._snapshot():
            yield from self._triggers()
            yield from _counts()
            promises = self._promises()
            yield from promises.problems
            if promises.last is None and promises.problems:
                return  # There was one, and its problem has been reported.
            if promises.last is None:
                raise ConfigurationError(
                    "expected a signed checkpoint to start from, found none; run checkpoint_log"
                    " first, or leave --since-checkpoint out"
                )
            covered = _Covered(promises.last)
            yield from covered.problems()
            yield from _missing(tables.places(promises.last.size))
            yield from self._streams(
                rows.new_events(promises.last.size), tables.pending(), anchor=covered.anchor
            )

    def _some(self, where: str) -> Iterator[Problem]:
        with self._snapshot():
            yield from _counts()
            promises = self._promises()
            yield from promises.problems
            covered = _Covered(promises.last) if promises.last else None
            if covered is not None:
                yield from covered.problems()
            each = covered.includes if covered else None
            where_event = where.format("e")
            yield from self._streams(
                rows.events(where_event), tables.pending(where_event), each=each
            )
            gone = f"{where.format('p')} AND e.id IS NULL"
            yield from _missing(tables.places(where=gone))

    def _streams(
        self,
        events: Iterable[Row],
        pending: Iterator[tuple[Any, Any, Any]],
        *,
        anchor: Callable[[int, int], Anchor | Problem] | None = None,
        each: Callable[[Row], Iterator[Problem]] | None = None,
    ) -> Iterator[Problem]:
        waiting = _Waiting(pending)
        for stream_id, of_stream in groupby(events, itemgetter(0)):
            self.streams += 1
            stream = None
            for row in of_stream:
                if stream_id is None:
                    what = ("stream_id", "a valid value for this column", "another")
                    yield Problem(row[12], None, row[1], *what)
                    continue
                if stream is None:
                    stream = Stream(stream_id)
                    version = row[1]
                    if anchor is not None and version is not None and version > 1:
                        before = anchor(stream_id, version - 1)
                        if isinstance(before, Problem):
                            yield before
                        else:
                            stream = Stream(stream_id, version - 1, before)
                self.events += 1
                if self.events % _EVERY == 0:
                    self._tick(_EVERY)
                if problems := stream.check(row):
                    yield from problems
                if has_blobs(row[7]) and not row[13]:
                    yield from self._blobs.of(Row._make(row))
                if each is not None and not row[13]:
                    yield from each(Row._make(row))
            if stream is not None:
                yield from stream.end()
                yield from waiting.of(stream)
        yield from waiting.rest()
        self._tick(self.events % _EVERY)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        # Read the notes outside first: one that is signed later covers more than the snapshot.
        self._outside = list(outside.kept())
        with snapshot():
            yield

    def _promises(self) -> Promises:
        promises = Promises(self._keys, [*self._outside, *self._notes])
        # The same checkpoint may be in the database and outside.
        self.checkpoints = len({promise.checkpoint for promise in promises.all})
        return promises

    def _triggers(self) -> Iterator[Problem]:
        connection = connections[log_database()]
        for name, found in unguarded(connection).items():
            yield Problem(None, None, None, "append-only trigger", name, found)
        for each in foreign(connection, log_tables()):
            # What comes after a row is stored cannot keep it from being stored, and the triggers
            # keep it from being changed.
            if not each.afterwards:
                what = each.table or each.what
                yield Problem(None, None, None, what, "only turnlog's own", f"the {each}")


def _counts() -> Iterator[Problem]:
    """Yield what a part of the log does not show: missing positions or events of any stream."""
    events, positions, first, last, waiting = tables.counts()
    if positions and (first, last) != (1, positions):
        place = (None, None, None, "turnlog_position")
        yield Problem(*place, f"positions 1 to {positions}", f"{first} to {last}")
    if events != positions + waiting:
        what = f"{positions + waiting}, as many as have a position or wait for one"
        yield Problem(None, None, None, "turnlog_event", what, str(events))


def _missing(places: Iterator[tuple[Any, Any, Any, Any]]) -> Iterator[Problem]:
    """Yield each event that a position names and that is gone."""
    for position, stream_id, version, hash_ in places:
        if type(hash_) is not bytes:
            what = ("event", "the one that turnlog_position names", "none")
            yield Problem(position, stream_id, version, *what)


def _without_row() -> Iterator[Problem]:
    """Yield each conversation that has events and no row: a new one might get its number."""
    for (stream_id,) in tables.streams_without_row():
        what = "turnlog_conversation"
        yield Problem(None, stream_id, None, what, "the conversation's row", "none")


def require_intact() -> None:
    """Raise LogDamaged for the first problem with the log, if there is one."""
    for problem in Verifier(known_keys()).whole():
        raise LogDamaged(f"{problem}; run `manage.py verify_log` for all problems")


class _Covered:
    """Checks single events against the last checkpoint, with proofs from the stored tiles."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.tree = StoredTree(checkpoint.size)
        self.holds = False

    def problems(self) -> Iterator[Problem]:
        """Yield a problem if the stored tree is not the signed one; then it proves nothing."""
        expected = self.checkpoint.root.hex()
        try:
            found = self.tree.root().hex()
        except LogDamaged as error:
            found = str(error)
        self.holds = found == expected
        if not self.holds:
            what = f"stored tree of {self.checkpoint.size} events"
            yield Problem(None, None, None, what, expected, found)

    def includes(self, row: Row) -> Iterator[Problem]:
        """Yield a problem if an event's hash is not in the tree at its position."""
        if not self.holds or row.position is None or row.position > self.checkpoint.size:
            return
        place = (row.position, row.stream_id, row.version, "leaf")
        index, leaf, size = row.position - 1, leaf_hash(row.hash), self.checkpoint.size
        try:
            proof = self.tree.inclusion(row.position)
        except LogDamaged as error:
            yield Problem(*place, "a proof from the stored tree", str(error))
            return
        if not is_included(index, size, leaf, proof, self.checkpoint.root):
            yield Problem(*place, f"the one in the tree of {size} events", leaf.hex())

    def anchor(self, stream_id: int, version: int) -> Anchor | Problem:
        """The event from which a stream is checked on. It must be in the tree."""
        where = f"WHERE e.stream_id = {stream_id} AND e.version = {version}"
        before = rows.first(where)
        if before is None or before.position is None or before.unreadable:
            place = (None, stream_id, version, "event")
            return Problem(*place, "one that the checkpoint covers", "none")
        for problem in self.includes(before):
            return problem
        return Anchor(before.hash, before.recorded_at, before.position)


class _Waiting:
    """The rows of turnlog_pending, in order of stream, read along with the streams."""

    def __init__(self, pending: Iterator[tuple[Any, Any, Any]]) -> None:
        self._unreadable = 0
        self._pending = pending
        self._advance()

    def _advance(self) -> None:
        for row in self._pending:
            if all(type(value) is int for value in row):
                self._next: tuple[Any, Any, Any] | None = row
                return
            self._unreadable += 1
        self._next = None

    def of(self, stream: Stream) -> Iterator[Problem]:
        """Yield the problems with the rows of a stream's events that wait for a position."""
        while self._next is not None and self._next[0] < stream.id:
            yield self._unknown(self._next)
        last = (stream.waiting_from or stream.version + 1) - 1
        while self._next is not None and self._next[0] == stream.id:
            _, first, until = self._next
            if first != last + 1:
                yield Problem(
                    *(None, stream.id, first, "turnlog_pending"),
                    *(f"version {last + 1}", f"version {first}"),
                )
            last = until
            self._advance()
        if last > stream.version:
            yield Problem(
                None, stream.id, last, "event", "the one that turnlog_pending names", "none"
            )
        elif last < stream.version:
            yield Problem(
                *(None, stream.id, last + 1, "position"),
                *("one, or a row in turnlog_pending", "neither"),
            )

    def rest(self) -> Iterator[Problem]:
        while self._next is not None:
            yield self._unknown(self._next)
        for _ in range(self._unreadable):
            yield Problem(None, None, None, "turnlog_pending", "whole numbers", "something else")

    def _unknown(self, row: tuple[Any, Any, Any]) -> Problem:
        self._advance()
        stream_id, _, last = row
        return Problem(None, stream_id, last, "event", "the one that turnlog_pending names", "none")
