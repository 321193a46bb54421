"""The Merkle tree against RFC 9162's definitions and Certificate Transparency's test vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.events.proof.merkle import (
    EMPTY_ROOT,
    Growing,
    inclusion_proof,
    is_included,
    leaf_hash,
    node_hash,
    root_of,
    skipped,
    tree_root,
)

# Leaves, roots and proofs of Certificate Transparency's reference implementation of RFC 6962.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
INCLUSIONS = {
    (0, 1): [],
    (0, 8): [A, B, C],
    (5, 8): [D, E, F],
    (1, 5): [leaf_hash(b"").hex(), B, D],
}


def definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, as it stands there."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(definition(leaves[:half]), definition(leaves[half:]))


class Tree:
    """A tree of which all is known."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves

    def node(self, level: int, number: int) -> bytes:
        part = self.leaves[number << level : (number + 1) << level]
        assert len(part) == 1 << level, "only complete subtrees are asked for"
        return definition(part)


def hexes(proof: list[bytes]) -> list[str]:
    return [step.hex() for step in proof]


def test_roots_and_proofs_are_those_that_were_published() -> None:
    tree = Tree(LEAVES)
    growing = Growing()
    for size, root in enumerate(ROOTS):
        assert growing.root().hex() == tree_root(size, tree.node).hex() == root
        if size < len(LEAVES):
            growing.add(leaf_hash(LEAVES[size]))
    for (index, size), proof in INCLUSIONS.items():
        assert hexes(inclusion_proof(index, size, tree.node)) == proof


def test_the_proofs_of_all_small_trees_hold_and_none_of_them_for_anything_else() -> None:
    leaves = [bytes([number]) for number in range(34)]
    tree = Tree(leaves)
    roots = [definition(leaves[:size]) for size in range(len(leaves) + 1)]
    for size in range(1, len(leaves) + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, tree.node)
            leaf = leaf_hash(leaves[index])
            assert is_included(index, size, leaf, proof, roots[size])
            assert not is_included(index, size, leaf_hash(b"other"), proof, roots[size])
            assert not is_included(index, size, leaf, proof, roots[size - 1])
            assert not is_included(index, size, leaf, [*proof, leaf], roots[size])
            assert not is_included(size, size, leaf, proof, roots[size])
            assert not any(
                is_included(other, size, leaf, proof, roots[size])
                for other in range(size)
                if other != index
            )
            if proof:
                assert not is_included(index, size, leaf, proof[:-1], roots[size])


@given(st.integers(0, 300), st.data())
def test_a_tree_grows_by_whole_subtrees_as_by_leaves(size: int, data: st.DataObject) -> None:
    leaves = [number.to_bytes(2, "big") for number in range(size)]
    tree, growing = Tree(leaves), Growing()
    while growing.size < size:
        until = data.draw(st.integers(growing.size + 1, size))
        for level in skipped(growing.size, until):
            growing.add(tree.node(level, growing.size >> level), level)
        assert growing.size == until
    assert growing.root() == definition(leaves)


@given(st.integers(0, 2**62), st.integers(1, 2**62))
def test_what_is_skipped_is_covered_exactly_by_few_subtrees(begin: int, count: int) -> None:
    at = begin
    levels = list(skipped(begin, begin + count))
    for level in levels:
        assert at % (1 << level) == 0
        at += 1 << level
    assert at == begin + count
    assert len(levels) <= 2 * 63


def test_a_subtree_cannot_begin_anywhere() -> None:
    growing = Growing()
    growing.add(leaf_hash(b""))
    with pytest.raises(ValueError, match="no subtree of level 1 begins at leaf 1"):
        growing.add(leaf_hash(b""), 1)


@given(st.integers(0, 6))
def test_a_complete_subtrees_root(level: int) -> None:
    hashes = [leaf_hash(bytes([number])) for number in range(1 << level)]
    assert root_of(hashes) == definition([bytes([number]) for number in range(1 << level)])
