from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _

from ...core.fields import MomentField, WordsField
from ...events.models import Conversation
from ..messages.model import ConversationMessage
from .query import Holds, MayHold, terms_of


class SearchEntryQuerySet(models.QuerySet["SearchEntry"]):
    def search(self, query: str) -> SearchEntryQuerySet:
        """Return what contains all of the query's words, and its phrases in double quotes.

        A search also finds parts of words, in any case and Unicode form; all other characters stand
        for themselves. Raises SearchError for no words or more than 1,000 characters.
        """
        terms = terms_of(query)
        return self.filter(MayHold(terms), *map(Holds, terms))

    def lately(self, count: int) -> SearchEntryQuerySet:
        """Keep the newest of these, out of `count` at most: for a search that has no index."""
        newest = self.order_by("-pk").values("pk")[:1]
        return self.filter(pk__gt=Subquery(newest) - count)

    def listed(self) -> SearchEntryQuerySet:
        """Leave out what was cleared or never answered: keep the turns of the message list."""
        listed = ConversationMessage.objects.filter(conversation_id=OuterRef("conversation_id"))
        in_turn = Exists(listed.filter(turn_id=OuterRef("turn_id")))
        alone = Exists(listed.filter(version=OuterRef("version")))
        return self.filter(in_turn | Q(turn_id=None) & alone)

    def of(self, user: Any) -> SearchEntryQuerySet:
        """Return what was said in one user's turns; for None or a guest, in the turns of guests.

        A deleted user's words keep their actor and never become a guest's.
        """
        if user is None or not user.is_authenticated:
            return self.filter(actor_id=None)
        return self.filter(user=user)


class SearchEntry(models.Model):
    """Something that was said, made searchable: a projection of the log; do not write to it.

    It includes what was cleared since, and turns without a complete answer. `text` is what was said
    (with U+FFFD for characters that no column accepts), `normalised` is the form that is compared.
    """

    conversation_id: int
    conversation = models.ForeignKey(
        Conversation,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,  # The unique constraint begins with it.
    )
    version = models.IntegerField(_("version"))
    turn_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    role = models.CharField(_("role"), max_length=5)
    text = WordsField(_("text"))
    normalised = WordsField()
    created_at = MomentField(_("created at"))

    objects = SearchEntryQuerySet.as_manager()

    class Meta:
        db_table = "turnlog_search"
        ordering = ("-created_at", "-conversation_id", "-version")
        verbose_name = _("utterance")
        verbose_name_plural = _("utterances")
        constraints = (
            models.UniqueConstraint(
                fields=("conversation", "version"), name="turnlog_search_version"
            ),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id}/{self.version}"
