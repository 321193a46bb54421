"""The Merkle tree of RFC 9162, section 2.1 (the same as RFC 6962's): roots, proofs and checks.

The hash of a leaf is SHA-256(0x00 + leaf), of an inner node SHA-256(0x01 + left + right). A
complete subtree of 2**level leaves has a number: 0 for the leftmost of its level. This module does
not know where hashes are kept: to get a proof, pass a function that returns them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
LEAF, NODE = b"\x00", b"\x01"

Node = Callable[[int, int], bytes]
"""A function that returns a complete subtree's hash, given its level and number."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf, 32 bytes."""
    return sha256(LEAF + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, 32 bytes, from the hashes of its two subtrees."""
    return sha256(NODE + left + right).digest()


class Growing:
    """A tree that grows to the right. It remembers the roots of its complete subtrees only.

    There is one of these for each bit that is set in `size`: 64 at most.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf_hash: bytes, level: int = 0) -> None:
        """Append the root of a complete subtree of 2**level leaves.

        Raises ValueError if no such subtree can begin at this size.
        """
        bit = 1 << level
        if self.size & (bit - 1):
            raise ValueError(f"no subtree of level {level} begins at leaf {self.size}")
        grown = self.size + bit
        peaks, hash_ = self._peaks, leaf_hash
        while self.size & bit:
            hash_ = sha256(NODE + peaks.pop() + hash_).digest()
            bit <<= 1
        peaks.append(hash_)
        self.size = grown

    def root(self) -> bytes:
        """The current root of the tree."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in self._peaks[-2::-1]:
            root = node_hash(peak, root)
        return root


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root of a complete subtree, from the hashes of all its parts on one level."""
    while len(hashes) > 1:
        hashes = [
            sha256(NODE + hashes[at] + hashes[at + 1]).digest() for at in range(0, len(hashes), 2)
        ]
    return hashes[0]


def tree_root(size: int, node: Node) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return _subtree(0, size, node) if size else EMPTY_ROOT


def skipped(begin: int, end: int) -> Iterator[int]:
    """Yield the levels of the largest complete subtrees that together cover begin to end-1."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield level
        begin += 1 << level


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """A proof that leaf `index` (from 0) is in the tree of `size` leaves; RFC 9162, 2.1.3.1."""
    path = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(begin, middle, node))
            begin = middle
    return path[::-1]


def is_included(
    index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether a proof shows that a leaf is in a tree; RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    place, last, hash_ = index, size - 1, leaf_hash
    for step in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            hash_ = node_hash(step, hash_)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, step)
        place, last = place >> 1, last >> 1
    return last == 0 and hash_ == root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _subtree(begin: int, end: int, node: Node) -> bytes:
    size = end - begin
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, begin >> level)
    middle = begin + _split(size)
    return node_hash(_subtree(begin, middle, node), _subtree(middle, end, node))
