from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ...core.fields import LineField, WordsField


class SavedView(models.Model):
    """A search of the reviewers' list that has a name: a projection of the log.

    With `chosen_by`, a pseudonym, it is that reviewer's choice of the search that their list
    begins with: `name` says which one, and `query` is empty.
    """

    stream_id = models.BigIntegerField()
    version = models.IntegerField()
    name = LineField(_("name"), max_length=64)
    query = WordsField(_("query"))
    chosen_by = models.UUIDField(null=True)

    class Meta:
        db_table = "turnlog_view"
        ordering = ("name",)
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = (
            models.UniqueConstraint(fields=("stream_id", "version"), name="turnlog_view_version"),
        )
        indexes = (models.Index("chosen_by", name="turnlog_view_chosen"),)

    def __str__(self) -> str:
        return str(self.name)
