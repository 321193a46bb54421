"""Signs checkpoints: the root over every event that has a position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...core.errors import ConfigurationError, LogDamaged
from ..store.confirmed import insert_one
from ..store.sequence import sequence
from ..tables.database import log_database
from ..tables.proof import SignedCheckpoint
from . import keys, outside, tables
from .notes import Checkpoint, NoteError, PublicKey, SigningKey, UnknownKey, open_checkpoint
from .tiles import StoredTree, sample_tiles, store_tiles

_SAMPLED = 4  # Tiles at each signing.


class Signed(NamedTuple):
    """A checkpoint, its note, and whether it is new; if not, it is the last stored one."""

    checkpoint: Checkpoint
    note: str
    new: bool


def checkpoint_log() -> Signed | None:
    """Sign the root over every committed event; None if the log is empty.

    The cost grows with the number of events since the last checkpoint. Two checks come before the
    signature: the stored tree still begins with the last checkpoints, in the database and outside;
    and a random sample of tiles still matches its events. `Verifier` checks all tiles.

    Any number of processes may do this at once.

    Raises LogDamaged if a check fails, ConfigurationError if there is no key, CheckpointNotKept if
    the checkpoint could not be kept outside the database, NotStored if the database did not keep
    it.
    """
    key = keys.signing_key()
    # Before the log's end is looked for: another process may sign a longer log meanwhile, and a
    # checkpoint that is known already never covers more than what is found afterwards.
    signed_before = _Before(tables.last_checkpoint(), list(outside.kept(last=True)))
    sequence()
    size = tables.last_position()
    store_tiles(size)
    signed = _sign(key, size, signed_before)
    if signed is not None and signed.new:
        # Keep it outside before it is stored, and not in a transaction: a hook may take long. If
        # the process dies in between, the next run signs again.
        outside.keep(signed.note)
        stored = {"size": signed.checkpoint.size, "note": signed.note}
        insert_one(SignedCheckpoint, log_database(), **stored)
    return signed


class _Before(NamedTuple):
    """What was signed before: the last checkpoint in the database, as (id, size, note), and the
    last one outside, as (where, note)."""

    stored: tuple[Any, Any, str] | None
    outside: list[tuple[str, str]]


def _sign(key: SigningKey, size: int, before: _Before) -> Signed | None:
    known = keys.known_keys()
    tree = StoredTree(size)
    last_note = None
    if before.stored is not None:
        pk, _, last_note = before.stored
        last = _opened(last_note, f"signed checkpoint {pk}", known)
        _require(tree, last, f"signed checkpoint {pk}")
        if key.name != last.origin:
            raise ConfigurationError(
                f"expected a signing key named {last.origin!r}, as the log's checkpoints are, found"
                f" one named {key.name!r}; create it with that name"
            )
    for where, note in before.outside:
        _require(tree, _opened(note, where, known), where)
    sample_tiles(size, _SAMPLED)
    if size == 0:
        return None
    checkpoint = Checkpoint(key.name, size, tree.root())
    note = key.sign(str(checkpoint))
    # Ed25519 is deterministic: the same text and key give the same signature.
    return Signed(checkpoint, note, new=last_note != note)


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
            " run `manage.py verify_log` to see where it was changed"
        )


def _opened(note: str, where: str, known: Sequence[PublicKey]) -> Checkpoint:
    try:
        return open_checkpoint(note, known)[0]
    except UnknownKey as error:
        raise ConfigurationError(f"{where}: {error}") from None
    except NoteError as error:
        raise LogDamaged(f"{where}: {error}") from None
