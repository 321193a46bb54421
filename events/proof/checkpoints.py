"""Signing what the log is: a root over all of it that has a position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.db.models import Max

from ...core.errors import ConfigurationError, LogDamaged
from ..dialects import dialect_of, log_database
from ..models import Position, SignedCheckpoint
from ..sequence import sequence
from . import keys, outside
from .notes import Checkpoint, NoteError, PublicKey, SigningKey, open_checkpoint
from .tiles import StoredTree, store_tiles


class Signed(NamedTuple):
    """A checkpoint, its note, and whether it was signed now or is still the last word."""

    checkpoint: Checkpoint
    note: str
    new: bool


def checkpoint_log() -> Signed | None:
    """Sign the root over every event that is committed; None if the log is empty.

    Costs what came since the last checkpoint. Nothing is signed unless the log still begins with
    what the last checkpoints, here and outside, say. Raises LogDamaged where it does not,
    ConfigurationError without a key, CheckpointNotKept.
    """
    key = keys.signing_key()
    sequence()
    size = last_position()
    store_tiles(size)
    using = log_database()
    with transaction.atomic(using=using):
        with connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_signer(cursor)
        signed = _sign(key, size)
    if signed is not None:
        outside.keep(signed.note)
    return signed


def last_position() -> int:
    """The last position that was given."""
    positions: Any = Position._default_manager.using(log_database())
    return positions.aggregate(last=Max("position"))["last"] or 0


def last_checkpoint(known: Sequence[PublicKey]) -> Checkpoint | None:
    """What the last signed checkpoint says; None if there is none. Raises LogDamaged."""
    row = _last_row()
    return None if row is None else _opened(row.note, f"signed checkpoint {row.pk}", known)


def _sign(key: SigningKey, size: int) -> Signed | None:
    known = keys.known_keys()
    row = _last_row()
    if row is not None:
        # Somebody else may have signed more since we looked.
        size = max(size, row.size)
    tree = StoredTree(size)
    last = None
    if row is not None:
        last = _opened(row.note, f"signed checkpoint {row.pk}", known)
        _require(tree, last, f"signed checkpoint {row.pk}")
        if key.name != last.origin:
            raise ConfigurationError(
                f"expected a signing key named {last.origin!r}, as the log's checkpoints are, found"
                f" one named {key.name!r}; create it with that name"
            )
    for where, note in outside.kept(last=True):
        _require(tree, _opened(note, where, known), where)
    if size == 0:
        return None
    checkpoint = Checkpoint(key.name, size, tree.root())
    note = key.sign(str(checkpoint))
    # Ed25519 signs the same to the same bytes.
    if row is not None and row.note == note:
        return Signed(checkpoint, note, new=False)
    _rows().create(size=size, note=note)
    return Signed(checkpoint, note, new=True)


def _require(tree: StoredTree, checkpoint: Checkpoint, where: str) -> None:
    if checkpoint.size > last_position():
        raise LogDamaged(
            f"{where}: expected a log of {checkpoint.size} positions or more, found"
            f" {last_position()}; its end was cut off"
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
    except NoteError as error:
        raise LogDamaged(f"{where}: {error}") from None


def _last_row() -> SignedCheckpoint | None:
    row: SignedCheckpoint | None = _rows().order_by("-pk").first()
    return row


def _rows() -> Any:
    return SignedCheckpoint.objects.using(log_database())
