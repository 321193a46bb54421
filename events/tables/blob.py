from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q


class Blob(models.Model):
    """A large string of events' payloads, as bytes, once; `events.blobs` writes and reads it.

    The bytes are in `data`; or in a file of the storage in the settings, and `file` is its name.
    """

    objects: ClassVar[models.Manager[Blob]]

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.BigIntegerField()
    data = models.BinaryField(null=True)
    file = models.CharField(max_length=200, default="")

    class Meta:
        db_table = "turnlog_blob"
        indexes = (models.Index(F("file"), name="turnlog_blob_file", condition=~Q(file="")),)
        constraints = (
            models.CheckConstraint(
                condition=Q(data__isnull=False, file="") | (Q(data__isnull=True) & ~Q(file="")),
                name="turnlog_blob_place",
            ),
        )

    def __str__(self) -> str:
        return self.sha256


class BlobUse(models.Model):
    """An event whose payload refers to a blob; both go with the last such payload."""

    objects: ClassVar[models.Manager[BlobUse]]

    blob_id: str
    blob = models.ForeignKey(
        Blob, on_delete=models.DO_NOTHING, related_name="uses", db_column="sha256"
    )
    stream_id = models.BigIntegerField()
    version = models.IntegerField()

    class Meta:
        db_table = "turnlog_blob_use"
        constraints = (
            models.UniqueConstraint(
                fields=("stream_id", "version", "blob"), name="turnlog_blob_use_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.version} {self.blob_id}"
