from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ...core.fields import LineField, MomentField, WordsField
from ...events.models import Conversation


class Remark(models.Model):
    """What a reviewer wrote about a conversation: a projection of the stream beside it.

    `kind` is `note`, `score` or `signed`; `turn_id` is the turn that it is about, None for all of
    the conversation. `stream_id` and `version` are the place of its event, and `until` the
    conversation's version up to which it was signed off. Withdrawn notes and replaced scores have
    no row. `value` is a score's, as JSON: `null` says that it cannot be judged.
    """

    conversation_id: int
    stream_id = models.BigIntegerField()
    version = models.IntegerField()
    conversation = models.ForeignKey(
        Conversation,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,  # Another index begins with it.
    )
    kind = models.CharField(_("kind"), max_length=8)
    turn_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    at = MomentField(_("at"))
    until = models.IntegerField(null=True)
    name = LineField(_("score"), max_length=64)
    value = WordsField(_("value"))
    text = WordsField(_("text"))
    quote = WordsField(_("quote"))

    class Meta:
        db_table = "turnlog_remark"
        ordering = ("stream_id", "version")
        verbose_name = _("remark")
        verbose_name_plural = _("remarks")
        constraints = (
            models.UniqueConstraint(fields=("stream_id", "version"), name="turnlog_remark_version"),
        )
        indexes = (models.Index("conversation", "kind", "actor_id", name="turnlog_remark_of"),)

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.version}"
