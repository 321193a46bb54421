from __future__ import annotations

from typing import ClassVar

from django.db import models

from ...core.fields import WordsField


class Tile(models.Model):
    """A piece of the Merkle tree over the log: 256 hashes side by side, and their root.

    On level 0 they are the hashes of leaves, on each other level the roots of the tiles below. A
    tile is stored once it is full. All of it could be computed from the events.
    """

    objects: ClassVar[models.Manager[Tile]]

    level = models.SmallIntegerField()
    number = models.BigIntegerField()
    hashes = models.BinaryField()
    root = models.BinaryField(max_length=32)

    class Meta:
        db_table = "turnlog_tile"
        constraints = (
            models.UniqueConstraint(fields=("level", "number"), name="turnlog_tile_place"),
        )

    def __str__(self) -> str:
        return f"{self.level}/{self.number}"


class SignedCheckpoint(models.Model):
    """The signed root over the first `size` positions of the log, as a note (see `proof.notes`)."""

    objects: ClassVar[models.Manager[SignedCheckpoint]]

    size = models.BigIntegerField()
    note = WordsField()

    class Meta:
        db_table = "turnlog_signed_checkpoint"

    def __str__(self) -> str:
        return f"{self.id}: {self.size}"
