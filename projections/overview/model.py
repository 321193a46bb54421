from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ...core.fields import MomentField, WordsField
from ...events.models import Conversation


class Overview(models.Model):
    """A conversation as a list shows it: one row each, a projection of the log.

    It counts everything, cleared turns too. `failures` counts turns that ended without an answer;
    `stopped` counts those that somebody stopped, also with a part of an answer. The names of models
    and tools (in lower case) and of event types stand between line breaks.
    """

    conversation_id: int
    conversation = models.OneToOneField(
        Conversation,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="overview",
    )
    began_at = MomentField(_("first activity"))
    last_at = MomentField(_("last activity"))
    head = models.IntegerField(_("version"))
    turns = models.BigIntegerField(_("turns"), default=0)
    failures = models.BigIntegerField(_("failures"), default=0)
    failed = models.BigIntegerField(_("failed"), default=0)
    stopped = models.BigIntegerField(_("stopped"), default=0)
    interrupted = models.BigIntegerField(_("interrupted"), default=0)
    tokens = models.BigIntegerField(_("tokens"), default=0)
    tool_calls = models.BigIntegerField(_("tool calls"), default=0)
    images = models.BigIntegerField(_("pictures"), default=0)
    clearings = models.BigIntegerField(_("clearings"), default=0)
    erasures = models.BigIntegerField(_("erasures"), default=0)
    waiting_turn = models.UUIDField(_("waiting turn"), null=True)
    """The turn that waits for a person to approve a tool's call."""
    held = models.BooleanField(_("legal hold"), default=False)
    model_names = WordsField(_("models"), default="")
    tool_names = WordsField(_("tools"), default="")
    type_names = WordsField(_("types"), default="")

    class Meta:
        db_table = "turnlog_overview"
        ordering = ("-last_at", "-conversation")
        verbose_name = _("overview")
        verbose_name_plural = _("overviews")
        indexes = (
            models.Index("last_at", "conversation", name="turnlog_overview_last"),
            models.Index(
                "last_at",
                "conversation",
                name="turnlog_overview_waiting",
                condition=models.Q(waiting_turn__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id}"

    @property
    def answered_by(self) -> list[str]:
        """The names of the models that answered or were asked."""
        return [name for name in self.model_names.split("\n") if name]
