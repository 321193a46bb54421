from __future__ import annotations

import uuid
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, ExpressionWrapper, F, OuterRef, Q
from django.db.models.lookups import LessThan
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from ...core.asynchronous import in_database_thread
from ...core.fields import MomentField
from ...events.models import Conversation, Event
from ...events.tables.database import log_database
from .documents import DocumentField, stored_message

replaced: ContextVar[tuple[int, uuid.UUID] | None] = ContextVar("turnlog_replaced", default=None)
"""While a turn is prepared that replaces another one: the conversation and that turn. Whoever reads
the previous messages then is given those before it."""


class ConversationMessageQuerySet(models.QuerySet["ConversationMessage"]):
    def of(self, user: Any) -> ConversationMessageQuerySet:
        """Return the messages of one person's turns; for None or a guest, those of all guests.

        A deleted user's messages keep their actor and never become a guest's.
        """
        if user is None or not user.is_authenticated:
            return self.filter(actor_id=None)
        return self.filter(user=user)

    def previous(self, conversation: Conversation) -> ConversationMessageQuerySet:
        """Return the messages here that come before the turn that is being prepared."""
        # Not from a replica: the model must be given the turn that has just been recorded.
        here = self.using(log_database()).filter(conversation=conversation)
        stream_id, turn_id = replaced.get() or (None, None)
        if stream_id != conversation.pk:
            return here
        stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
        turn = stream.filter(turn_id=turn_id).order_by("version")
        began = turn.values_list("version", flat=True).first() or 0
        # A turn from before may have been recorded after.
        before = stream.annotate(at=F("version") + 0).filter(
            LessThan(F("at"), began), turn_id=OuterRef("turn_id")
        )
        return here.filter(Q(version__lt=began) | Exists(before))

    def get_histories(self, conversation: Conversation | None, user: Any = None) -> list[Any]:
        """Return messages and tool outputs of a person's turns here, in order of version.

        `SystemMessage | HumanMessage | AIMessage | AddableDict`; empty without a conversation.
        """
        if conversation is None:
            return []
        messages = self.previous(conversation).of(user).order_by("version")
        # Decoded here, in one pass: a field's converter would take half as long again.
        text = ExpressionWrapper(F("event__payload"), output_field=models.TextField())
        stored: Any = messages.filter(event__payload__isnull=False).annotate(stored=text)
        return list(map(stored_message, stored.values_list("stored", flat=True)))

    aget_histories = in_database_thread(get_histories)


class ConversationMessageManager(
    # The mypy plugin knows such a base only if it has its own name.
    models.Manager["ConversationMessage"].from_queryset(ConversationMessageQuerySet)  # type: ignore[misc]
):
    def get_queryset(self) -> ConversationMessageQuerySet:
        """Return the rows with `content`, which you can filter and order by like a field."""
        content = ExpressionWrapper(F("event__payload"), output_field=DocumentField())
        found: ConversationMessageQuerySet = super().get_queryset().annotate(content=content)
        return found


class ConversationMessage(models.Model):
    """The message list that people and models read: a projection of the log, never written to.

    A row says that an event is listed, and for whom. `content` is that event's payload: in Python
    a LangChain message, or an AddableDict for a tool's output.
    """

    # The database enforces no foreign key: the rows are disposable, checking takes a third of the
    # time of inserting, and a turn must not be refused if its user is deleted at that moment.
    conversation_id: int
    conversation = models.ForeignKey(
        Conversation,
        verbose_name=_("conversation"),
        on_delete=models.CASCADE,
        related_name="messages",
        db_index=False,  # The unique constraint begins with it.
        db_constraint=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,  # The index below begins with it.
        db_constraint=False,
    )
    actor_id = models.UUIDField(null=True)
    version = models.IntegerField(_("version"))
    turn_id = models.UUIDField(null=True)
    created_at = MomentField(_("created at"))
    # No column: the event has the same conversation and version.
    event = models.ForeignObject(
        Event,
        on_delete=models.DO_NOTHING,
        from_fields=("conversation_id", "version"),
        to_fields=("stream_id", "version"),
        related_name="+",
        null=True,  # A damaged row may refer to no event.
        serialize=False,  # Fixtures have the columns.
    )

    objects = ConversationMessageManager()

    class Meta:
        db_table = "turnlog_message"
        ordering = ("conversation", "version")
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = (
            models.UniqueConstraint(
                fields=("conversation", "version"), name="turnlog_message_version"
            ),
        )
        indexes = (
            # The newest messages of one person, also where others said more.
            models.Index(fields=("user", "conversation", "version"), name="turnlog_message_user"),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id}/{self.version}"

    @cached_property
    def content(self) -> Any:
        """The message. `objects` loads it with the row; otherwise it takes another query."""
        payload = self.event.payload if self.event else None
        return None if payload is None else stored_message(payload)
