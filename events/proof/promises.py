"""Checks that the log still begins with what signed checkpoints promised."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from . import tables
from .merkle import Growing, leaf_hash, root_of
from .notes import Checkpoint, NoteError, PublicKey, open_checkpoint
from .problems import Problem
from .tiles import HEIGHT, WIDTH, split


class Promise(NamedTuple):
    """A checkpoint and where it was found."""

    checkpoint: Checkpoint
    where: str


class Promises:
    """The checkpoints in the database, and those from elsewhere: `notes`, pairs (name, note)."""

    def __init__(self, keys: Sequence[PublicKey], notes: Iterable[tuple[str, str]]) -> None:
        self.all: list[Promise] = []
        self.problems: list[Problem] = []
        for pk, size, note in tables.checkpoints():
            where = f"signed checkpoint {pk}"
            checkpoint = self._open(note, where, keys)
            if checkpoint is not None and checkpoint.size != size:
                self.problems.append(_problem(f"{where}: size", checkpoint.size, size))
        for where, note in notes:
            self._open(note, where, keys)
        self.all.sort(key=lambda promise: promise.checkpoint.size)

    @property
    def last(self) -> Checkpoint | None:
        """The checkpoint that covers the most events; None if there is none."""
        return self.all[-1].checkpoint if self.all else None

    def _open(self, note: str, where: str, keys: Sequence[PublicKey]) -> Checkpoint | None:
        try:
            checkpoint = open_checkpoint(note, keys)[0]
        except NoteError as error:
            self.problems.append(_problem(where, "a checkpoint signed by a known key", str(error)))
            return None
        self.all.append(Promise(checkpoint, where))
        return checkpoint


def check_whole(promises: Promises) -> Iterator[Problem]:
    """Yield each problem with positions, stored tiles and promises, from the first position on."""
    tree = _Recomputed(promises.all)
    yield from tree.settle()
    expected = 1
    for position, stream_id, version, hash_ in tables.places():
        if position != expected:
            yield _problem("turnlog_position", f"position {expected}", f"position {position}")
            tree.give_up(f"position {expected} is missing")
        if type(hash_) is not bytes:
            yield Problem(
                *(position, stream_id, version, "event"),
                *("the one that turnlog_position names", "none"),
            )
            tree.give_up(f"the event at position {position} is missing")
        elif tree.add((position, stream_id, version), leaf_hash(hash_)):
            yield from tree.settle()
        expected = position + 1 if type(position) is int else expected + 1
    yield from tree.end()


class _Recomputed:
    """The tree over the log as it is now. As it grows, it is compared with tiles and promises."""

    def __init__(self, promises: Sequence[Promise]) -> None:
        self.tree = Growing()
        self.leaves: list[bytes] = []
        self.places: list[tuple[Any, Any, Any]] = []
        self.above: list[list[bytes]] = []
        self.promises = iter(promises)
        self.given_up = ""
        self.signed = promises[-1].checkpoint.size if promises else 0
        self.tiles = tables.tiles(0)
        self.tile = next(self.tiles, None)
        self._advance(next(self.promises, None))

    def give_up(self, why: str) -> None:
        """Take no more leaves: the tree beyond this point cannot be computed."""
        self.given_up = self.given_up or why

    def add(self, place: tuple[Any, Any, Any], leaf: bytes) -> bool:
        """Take the next leaf; returns whether there is something to settle now."""
        if self.given_up:
            return False
        self.leaves.append(leaf)
        self.places.append(place)
        count = len(self.leaves)
        return count == WIDTH or self.tree.size + count == self.due

    def settle(self) -> Iterator[Problem]:
        """Compare what can be compared at this size."""
        yield from self._keep_promises()
        if len(self.leaves) == WIDTH:
            yield from self._check_leaf_tile()

    def end(self) -> Iterator[Problem]:
        if not self.given_up:
            yield from self._keep_promises()
        size = self.tree.size + len(self.leaves)
        while self.next is not None:
            checkpoint, where = self.next
            why = self.given_up or f"it ends at position {size}"
            yield _problem(where, f"a log of {checkpoint.size} positions", f"one where {why}")
            self._advance(next(self.promises, None))
        if not self.given_up:
            yield from self._tiles_too_many(size)

    def _tiles_too_many(self, size: int) -> Iterator[Problem]:
        """Yield tiles beyond the end of the log: the next checkpoints would be made of them."""
        for level, last in tables.tile_levels():
            if type(level) is not int or type(last) is not int:
                yield _problem("turnlog_tile", "whole numbers", "something else")
                continue
            full = size >> HEIGHT * (level + 1) if level >= 0 else 0
            if last >= full:
                what = f"turnlog_tile of level {level}"
                yield _problem(what, f"numbers below {full}", f"number {last}")

    def _keep_promises(self) -> Iterator[Problem]:
        size = self.tree.size + len(self.leaves)
        while self.next is not None and self.next.checkpoint.size == size:
            checkpoint, where = self.next
            tree = copy.deepcopy(self.tree)
            for leaf in self.leaves:
                tree.add(leaf)
            if tree.root() != checkpoint.root:
                root = checkpoint.root.hex()
                yield _problem(f"{where}: root of {size} events", root, tree.root().hex())
            self._advance(next(self.promises, None))

    def _advance(self, promise: Promise | None) -> None:
        self.next = promise
        self.due = -1 if promise is None else promise.checkpoint.size

    def _check_leaf_tile(self) -> Iterator[Problem]:
        number = self.tree.size // WIDTH
        hashes, root = b"".join(self.leaves), root_of(self.leaves)
        stored, self.tile = self.tile, next(self.tiles, None) if self.tile else None
        if stored is not None:
            yield from self._compare(0, number, stored[1:], hashes, root)
            if stored[0] != number:
                yield _problem("turnlog_tile of level 0", f"number {number}", f"{stored[0]}")
        elif self.tree.size + WIDTH <= self.signed:
            yield _problem("turnlog_tile of level 0", f"number {number}", "none")
        self.tree.add(root, HEIGHT)
        self.leaves, self.places = [], []
        yield from self._raise(1, root)

    def _raise(self, level: int, root: bytes) -> Iterator[Problem]:
        """Add a tile's root to the level above, where 256 roots fill a tile."""
        if len(self.above) < level:
            self.above.append([])
        parts = self.above[level - 1]
        parts.append(root)
        if len(parts) < WIDTH:
            return
        number = (self.tree.size >> (HEIGHT * (level + 1))) - 1
        stored = next((tile[1:] for tile in tables.tiles(level, number, number)), None)
        hashes, root = b"".join(parts), root_of(parts)
        parts.clear()
        if stored is not None:
            yield from self._compare(level, number, stored, hashes, root)
        elif self.tree.size <= self.signed:
            yield _problem(f"turnlog_tile of level {level}", f"number {number}", "none")
        yield from self._raise(level + 1, root)

    def _compare(
        self, level: int, number: int, stored: tuple[bytes, ...], hashes: bytes, root: bytes
    ) -> Iterator[Problem]:
        if stored == (hashes, root):
            return
        if level == 0 and len(stored[0]) == len(hashes):
            # Name the first event that was changed or inserted after the tile was stored.
            pairs = enumerate(zip(split(stored[0]), self.leaves, strict=True))
            for place, (kept, leaf) in pairs:
                if kept != leaf:
                    yield Problem(*self.places[place], "leaf", kept.hex(), leaf.hex())
                    return
        what = f"turnlog_tile {number} of level {level}"
        yield _problem(what, root.hex(), stored[1].hex() if stored[0] == hashes else "other hashes")


def _problem(what: str, expected: Any, found: Any) -> Problem:
    return Problem(None, None, None, what, str(expected), str(found))
