from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from ...core.fields import MomentField, WordsField


class Upload(models.Model):
    """A picture or a file that somebody is about to send; gone once it is sent, or an hour old.

    `person` is an opaque name of whoever may send it: see `events.uploads`.
    """

    objects: ClassVar[models.Manager[Upload]]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    stream_id = models.BigIntegerField(db_index=True)
    person = models.CharField(max_length=64, db_index=True)
    kind = models.CharField(max_length=16)
    name = WordsField()
    mime_type = models.CharField(max_length=64)
    width = models.IntegerField(default=0)
    height = models.IntegerField(default=0)
    size = models.BigIntegerField()
    content = models.BinaryField()
    kept_at = MomentField(db_index=True)

    class Meta:
        db_table = "turnlog_upload"

    def __str__(self) -> str:
        return str(self.pk)
