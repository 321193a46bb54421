from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ...core.fields import LineField, MomentField, WordsField


class Access(models.Model):
    """One look at other people's conversations, or one export: a projection of the log.

    `stream_id` and `version` are the place of its event. `conversation_id` is set if it was one
    conversation; `conversations` has the numbers and `owners` the pseudonyms of all, each between
    line breaks. An inspection of the accesses has a row as well: its `action` is `inspected`, its
    `page` the version up to which, its `reason` the remark.
    """

    stream_id = models.BigIntegerField()
    version = models.IntegerField()
    at = MomentField(_("at"))
    actor_id = models.UUIDField(null=True)
    action = models.CharField(_("action"), max_length=16)
    page = LineField(_("page"), max_length=64)
    conversation_id = models.BigIntegerField(null=True)
    conversations = WordsField(_("conversations"))
    owners = WordsField(_("owners"))
    address = LineField(_("address"), max_length=64)
    query = WordsField(_("query"))
    reason = WordsField(_("reason"))

    class Meta:
        db_table = "turnlog_access"
        ordering = ("-at", "-stream_id", "-version")
        verbose_name = _("access")
        verbose_name_plural = _("accesses")
        constraints = (
            models.UniqueConstraint(fields=("stream_id", "version"), name="turnlog_access_version"),
        )
        indexes = (
            models.Index("conversation_id", "at", name="turnlog_access_conversation"),
            models.Index("actor_id", "at", name="turnlog_access_actor"),
        )

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.version}"
