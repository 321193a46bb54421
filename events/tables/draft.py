from __future__ import annotations

from typing import ClassVar

from django.db import models

from ...core.fields import WordsField


class Draft(models.Model):
    """A part of an answer that is being written; gone once the turn has ended in the log.

    If the process dies, the parts say what it had produced. `part` is JSON: see `events.drafts`.
    """

    objects: ClassVar[models.Manager[Draft]]

    stream_id = models.BigIntegerField()
    turn_id = models.UUIDField()
    number = models.IntegerField()
    part = WordsField()

    class Meta:
        db_table = "turnlog_draft"
        constraints = (
            models.UniqueConstraint(fields=("turn_id", "number"), name="turnlog_draft_number"),
        )

    def __str__(self) -> str:
        return f"{self.turn_id}/{self.number}"
