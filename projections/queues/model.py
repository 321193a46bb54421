from __future__ import annotations

import json
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from ...core.fields import LineField, MomentField, WordsField
from ...events.models import Conversation


class Queue(models.Model):
    """A queue of conversations to review: a projection of its stream.

    `state` is `active`, `paused` or `archived`. `scores` are names, and `fills` the latest fillings
    of the queue, both as JSON.
    """

    stream_id = models.BigIntegerField(unique=True)
    number = models.IntegerField(unique=True)
    state = models.CharField(_("state"), max_length=8)
    reviewers = models.IntegerField(_("reviewers"))
    scores = WordsField(_("scores"), default="[]")
    opened_at = MomentField(_("opened at"))
    name = LineField(_("name"), max_length=100, default="")
    instructions = WordsField(_("instructions"), default="")
    fills = WordsField(_("fillings"), default="[]")

    class Meta:
        db_table = "turnlog_queue"
        ordering = ("-number",)
        verbose_name = _("queue")
        verbose_name_plural = _("queues")

    def __str__(self) -> str:
        return self.name or f"#{self.number}"

    @property
    def asked(self) -> list[str]:
        """The names of the scores that reviewers give."""
        return [str(name) for name in json.loads(self.scores)]

    @property
    def filled(self) -> list[dict[str, Any]]:
        """The latest fillings, the last one first."""
        return list(reversed(json.loads(self.fills)))


class QueueItem(models.Model):
    """A conversation in a queue: a projection of the queue's stream.

    `state` is `open`, `awaiting`, `completed`, `flagged` or `gone`; `place` is where it is in the
    queue, and `done` how many reviewers have completed it.
    """

    conversation_id: int
    stream_id = models.BigIntegerField()
    place = models.IntegerField(_("place"))
    conversation = models.ForeignKey(
        Conversation,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,  # Another index begins with it.
    )
    state = models.CharField(_("state"), max_length=9, default="open")
    done = models.IntegerField(_("completed by"), default=0)

    class Meta:
        db_table = "turnlog_queue_item"
        ordering = ("stream_id", "place")
        verbose_name = _("queue item")
        verbose_name_plural = _("queue items")
        constraints = (
            models.UniqueConstraint(
                fields=("conversation", "stream_id"), name="turnlog_queue_item_once"
            ),
        )
        indexes = (
            models.Index("stream_id", "place", name="turnlog_queue_item_place"),
            models.Index("stream_id", "state", "place", name="turnlog_queue_item_state"),
        )

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.place}"


class QueueMark(models.Model):
    """What somebody did with an item: a projection of the queue's stream.

    `kind` is `claim`, `done`, `resolved` or `flag`. A claim ends at `until`, and everybody has at
    most one in a queue. `words` is the version of the event with the `scores` (JSON) or the
    `reason`, None if there are none any more.
    """

    conversation_id: int
    stream_id = models.BigIntegerField()
    version = models.IntegerField()
    conversation = models.ForeignKey(
        Conversation,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
    )
    kind = models.CharField(_("kind"), max_length=8)
    actor_id = models.UUIDField(null=True)
    at = MomentField(_("at"))
    until = MomentField(null=True)
    words = models.IntegerField(null=True)
    scores = WordsField(_("scores"), default="{}")
    reason = WordsField(_("reason"), default="")

    class Meta:
        db_table = "turnlog_queue_mark"
        ordering = ("stream_id", "version")
        verbose_name = _("queue mark")
        verbose_name_plural = _("queue marks")
        constraints = (
            models.UniqueConstraint(
                fields=("stream_id", "version"), name="turnlog_queue_mark_version"
            ),
        )
        indexes = (
            models.Index("conversation", "stream_id", "kind", name="turnlog_queue_mark_item"),
            models.Index(
                "stream_id", "kind", "actor_id", "conversation", name="turnlog_queue_mark_actor"
            ),
        )

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.version}"
