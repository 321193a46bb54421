"""The stored Merkle tree over the log: leaf n is the hash of the event at position n+1.

A tile holds 256 hashes of one level and their root, as in C2SP's tlog-tiles. Only full tiles are
stored; the rest, less than a tile on each level, is computed on demand. So a root or a proof reads
a few hundred hashes on each of a few levels, however long the log is.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from typing import Any

from django.db import connections

from ...core.errors import LogDamaged
from ..store.confirmed import insert_one
from ..store.dialect import dialect_of
from ..store.isolation import locking
from ..tables.database import log_database
from ..tables.proof import Tile
from . import tables
from .merkle import inclusion_proof, leaf_hash, root_of, tree_root

HEIGHT = 8
WIDTH = 1 << HEIGHT
_TILES_AT_ONCE = 64


class StoredTree:
    """Hashes, roots and proofs of the tree over the first `size` positions."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hashes = functools.lru_cache(maxsize=64)(self._hashes)

    def root(self, size: int | None = None) -> bytes:
        """The root over the first positions, all of them by default. Raises LogDamaged."""
        return tree_root(self.size if size is None else size, self.node)

    def inclusion(self, position: int, size: int | None = None) -> list[bytes]:
        """The proof that the event at `position` (from 1) is in the tree."""
        return inclusion_proof(position - 1, self.size if size is None else size, self.node)

    def node(self, level: int, number: int) -> bytes:
        """The hash of a complete subtree (see `merkle.Node`)."""
        tile_level, inside = divmod(level, HEIGHT)
        begin = number << inside
        tile, offset = divmod(begin, WIDTH)
        return root_of(self.hashes(tile_level, tile)[offset : offset + (1 << inside)])

    def _hashes(self, level: int, number: int) -> list[bytes]:
        """The hashes of a tile: fewer than 256 if it is not full."""
        begin = number * WIDTH
        # Ignore a stored tile that cannot be full yet: turnlog has not stored it.
        full = (begin + WIDTH) << (HEIGHT * level) <= self.size
        if full and (hashes := _tile(level, number)):
            return hashes
        if level == 0:
            return list(_leaves(begin, min(begin + WIDTH, self.size)))
        there = min(WIDTH, (self.size >> (HEIGHT * level)) - begin)
        below = tables.tiles(level - 1, begin, begin + there - 1)
        stored = {number: root for number, _, root in below}
        return [
            stored.get(below) or root_of(self._hashes(level - 1, below))
            for below in range(begin, begin + there)
        ]


def store_tiles(size: int) -> None:
    """Store all tiles that are full over the first `size` positions and not stored yet.

    Uses short transactions: a long log that never had a checkpoint takes many. Raises LogDamaged if
    events or tiles are not as expected, NotStored if the database does not keep a tile.
    """
    using = log_database()
    tiles = -1
    while tiles:
        with locking(using):
            with connections[using].cursor() as cursor:
                dialect_of(connections[using]).lock_signer(cursor)
            number = _stored()
            # None if another process has signed more positions meanwhile.
            tiles = max(0, min(_TILES_AT_ONCE, size // WIDTH - number))
            leaves = list(_leaves(number * WIDTH, (number + tiles) * WIDTH)) if tiles else []
            for begin in range(0, len(leaves), WIDTH):
                _store(0, number + begin // WIDTH, leaves[begin : begin + WIDTH])


def sample_tiles(size: int, count: int) -> None:
    """Compare some stored tiles, chosen at random, with the events that they are made of.

    So an event that was changed beneath its tile is noticed after a few checkpoints. Raises
    LogDamaged if one differs.
    """
    full = size // WIDTH
    for number in sorted(random.sample(range(full), min(count, full))):
        leaves = list(_leaves(number * WIDTH, (number + 1) * WIDTH))
        stored = _tile(0, number)
        for position, leaf in enumerate(leaves, number * WIDTH + 1):
            if leaf not in stored[position - number * WIDTH - 1 : position - number * WIDTH]:
                raise LogDamaged(
                    f"expected at position {position} the event that was there when the tree was"
                    " stored, found another one; run `manage.py verify_log` for details"
                )


def _stored() -> int:
    """The number of stored tiles of level 0. Raises LogDamaged if more exist than can be full."""
    last = tables.last_tile(0)
    if last is None:
        return 0
    if type(last) is not int:
        raise LogDamaged(
            "expected whole numbers in turnlog_tile, found something else; run `manage.py"
            " verify_log` for details"
        )
    number = last + 1
    # Read after the tiles: positions are only added, so those of the tiles are among them.
    size = tables.last_position()
    if number > size // WIDTH:
        raise LogDamaged(
            f"expected at most {size // WIDTH} stored tiles for {size} positions, found {number};"
            " run `manage.py verify_log` for details"
        )
    return number


def split(hashes: bytes) -> list[bytes]:
    """A tile's bytes as hashes of 32 bytes each."""
    return [hashes[begin : begin + 32] for begin in range(0, len(hashes), 32)]


def _store(level: int, number: int, hashes: list[bytes]) -> None:
    if _tiles().filter(level=level, number=number).exists():
        raise LogDamaged(
            f"expected no tile {number} of level {level} before it is full, found one; run"
            " `manage.py verify_log` for details"
        )
    columns = {"hashes": b"".join(hashes), "root": root_of(hashes)}
    insert_one(Tile, log_database(), level=level, number=number, **columns)
    if number % WIDTH == WIDTH - 1:
        roots = [root for _, _, root in tables.tiles(level, number - WIDTH + 1, number)]
        _store(level + 1, number // WIDTH, roots)


def _tile(level: int, number: int) -> list[bytes]:
    """The hashes of a stored tile; none if it is not stored. Raises LogDamaged on a bad size."""
    for _, hashes, _ in tables.tiles(level, number, number):
        if len(hashes) != 32 * WIDTH:
            raise LogDamaged(
                f"expected {32 * WIDTH} bytes in tile {number} of level {level}, found another"
                " number; run `manage.py verify_log` for details"
            )
        return split(hashes)
    return []


def _leaves(after: int, until: int) -> Iterator[bytes]:
    found = tables.leaves(after, until)
    for expected, (position, hash_) in enumerate(found, after + 1):
        if position != expected or not isinstance(hash_, bytes | memoryview):
            break
        yield leaf_hash(bytes(hash_))
    else:
        if len(found) == until - after:
            return
        expected = after + len(found) + 1
    raise LogDamaged(
        f"expected an event at position {expected}, found none; run `manage.py verify_log` to see"
        " what is missing"
    )


def _tiles() -> Any:
    return Tile.objects.using(log_database())
