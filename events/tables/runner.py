from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from ...core.fields import MomentField


class Runner(models.Model):
    """A process that answers turns. `heartbeat` is a time of the database's clock."""

    objects: ClassVar[models.Manager[Runner]]

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    host = models.CharField(max_length=255)
    boot = models.CharField(max_length=255)
    pid = models.IntegerField()
    started = models.CharField(max_length=64)
    heartbeat = MomentField()

    class Meta:
        db_table = "turnlog_runner"

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
