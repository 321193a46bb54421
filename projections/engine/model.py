from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from ...core.fields import MomentField, WordsField


class Checkpoint(models.Model):
    """How far a projection has read, which version made its rows, and which process works on it.

    An async projection's `position` moves in the same transaction as its rows. `heartbeat` is a
    time of the database's clock.
    """

    objects: ClassVar[models.Manager[Checkpoint]]

    name = models.CharField(max_length=64, primary_key=True)
    version = models.IntegerField()
    # How the rows were kept: an async projection's position says nothing about inline rows.
    inline = models.BooleanField()
    position = models.BigIntegerField(default=0)
    # The runner (turnlog_runner) of the projection's latest worker, and when it last reported.
    worker = models.UUIDField(null=True)
    heartbeat = MomentField(null=True)
    # The event that could not be applied: its position, the number of tries, and the error.
    failed_at = models.BigIntegerField(null=True)
    failures = models.IntegerField(default=0)
    retry_at = MomentField(null=True)
    error = WordsField(blank=True, default="")
    # A rebuild that is running or was cut off: its runner, the projection's version that it builds,
    # and the conversation up to which all are done.
    rebuilder = models.UUIDField(null=True)
    rebuild_version = models.IntegerField(null=True)
    rebuilt_until = models.BigIntegerField(default=0)

    class Meta:
        db_table = "turnlog_checkpoint"
        verbose_name = _("projection")
        verbose_name_plural = _("projections")

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"


class Parked(models.Model):
    """An event that a projection could not apply and has parked."""

    objects: ClassVar[models.Manager[Parked]]

    projection = models.CharField(max_length=64)
    stream_id = models.BigIntegerField()
    version = models.IntegerField()
    error = WordsField()
    parked_at = MomentField(auto_now_add=True)

    class Meta:
        db_table = "turnlog_parked"
        constraints = (
            models.UniqueConstraint(
                fields=("projection", "stream_id", "version"), name="turnlog_parked_event"
            ),
        )

    def __str__(self) -> str:
        return f"{self.projection}: {self.stream_id}/{self.version}"
