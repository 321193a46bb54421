"""Signing what the log is: a root over all of it that has a position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...core.errors import ConfigurationError, LogDamaged
from ..store.sequence import sequence
from ..tables.database import log_database
from ..tables.proof import SignedCheckpoint
from . import keys, outside, tables
from .notes import Checkpoint, NoteError, PublicKey, SigningKey, UnknownKey, open_checkpoint
from .tiles import StoredTree, sample_tiles, store_tiles

_SAMPLED = 4  # Tiles at each signing.


class Signed(NamedTuple):
    """A checkpoint, its note, and whether it was signed now or is still the last word."""

    checkpoint: Checkpoint
    note: str
    new: bool


def checkpoint_log() -> Signed | None:
    """Sign the root over every event that is committed; None if the log is empty.

    Costs what came since the last checkpoint. Nothing is signed unless the stored tree still begins
    with what the last checkpoints say, here and outside, and some of its tiles, others each time,
    are still those of the events; `Verifier` looks at all of them. Raises LogDamaged where it does
    not, ConfigurationError without a key, CheckpointNotKept.
    """
    key = keys.signing_key()
    sequence()
    size = tables.last_position()
    store_tiles(size)
    signed = _sign(key, size)
    if signed is not None and signed.new:
        # Kept before it is stored, and in no transaction: a hook may take its time. What is lost in
        # between is signed again.
        outside.keep(signed.note)
        _rows().create(size=signed.checkpoint.size, note=signed.note)
    return signed


def _sign(key: SigningKey, size: int) -> Signed | None:
    known = keys.known_keys()
    tree = StoredTree(size)
    stored = tables.last_checkpoint()
    if stored is not None:
        pk, _, last_note = stored
        last = _opened(last_note, f"signed checkpoint {pk}", known)
        if last.size > size:
            # Cut off; or somebody else has signed more since we looked.
            size = tables.last_position()
            store_tiles(size)
            tree = StoredTree(size)
        _require(tree, last, f"signed checkpoint {pk}")
        if key.name != last.origin:
            raise ConfigurationError(
                f"expected a signing key named {last.origin!r}, as the log's checkpoints are, found"
                f" one named {key.name!r}; create it with that name"
            )
    for where, note in outside.kept(last=True):
        _require(tree, _opened(note, where, known), where)
    sample_tiles(size, _SAMPLED)
    if size == 0:
        return None
    checkpoint = Checkpoint(key.name, size, tree.root())
    note = key.sign(str(checkpoint))
    # Ed25519 signs the same to the same bytes.
    return Signed(checkpoint, note, new=stored is None or last_note != note)


def _require(tree: StoredTree, checkpoint: Checkpoint, where: str) -> None:
    if checkpoint.size > tree.size:
        raise LogDamaged(
            f"{where}: expected a log of {checkpoint.size} positions or more, found"
            f" {tree.size}; its end was cut off"
        )
    if tree.root(checkpoint.size) != checkpoint.root:
        raise LogDamaged(
            f"{where}: expected a log whose first {checkpoint.size} positions have the root"
            f" {checkpoint.root.hex()}, found {tree.root(checkpoint.size).hex()};"
            " `manage.py verify_log` says where it was changed"
        )


def _opened(note: str, where: str, known: Sequence[PublicKey]) -> Checkpoint:
    try:
        return open_checkpoint(note, known)[0]
    except UnknownKey as error:
        raise ConfigurationError(f"{where}: {error}") from None
    except NoteError as error:
        raise LogDamaged(f"{where}: {error}") from None


def _rows() -> Any:
    return SignedCheckpoint.objects.using(log_database())
