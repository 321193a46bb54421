"""The conversation as a row. Its operations are in `turnlog.events.models`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from django.apps import apps
from django.conf import settings
from django.db import NotSupportedError, models
from django.utils.translation import gettext_lazy as _
from django_lifecycle import LifecycleModel

from ...core.errors import AppendOnlyError, NotStored, UnknownConversation
from ...core.fields import LineField, MomentField
from .database import log_database
from .event import Event

NAMED = {"title": "title", "user": "user_id"}
"""The fields that save() records in the log if they change, and their attributes."""

NEVER_SAVED = {"owner_actor_id", "forked_from", "forked_at", "beside"}
"""The fields that follow from what happens, and that an object's save() leaves as they are."""

NOBODY = uuid.UUID(int=0)
"""The owner of a side stream: such a stream is open to nobody in a chat."""

_SAID = {*NAMED, "owner_actor_id"}
"""The fields of which the log says what they are."""

_FIXED = NEVER_SAVED | {"forked_from_id"}


C = TypeVar("C", bound="ConversationRow", covariant=True)


class ConversationQuerySet(models.QuerySet[C]):
    """Conversations; what is an event of their streams is changed one by one, by save()."""

    def update(self, **kwargs: Any) -> int:
        if refused := _FIXED.union(*NAMED.items()) & kwargs.keys():
            raise AppendOnlyError(
                f"expected save() to change {', '.join(sorted(refused))} of a conversation, found"
                " an update of a query set, which the log would not know of; nothing was changed"
            )
        return super().update(**kwargs)

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("update_conflicts"):
            self.update(**dict.fromkeys(kwargs.get("update_fields") or ()))
        return super().bulk_create(objs, *args, **kwargs)

    def rewrite(self, **columns: Any) -> int:
        """Update columns after what has happened was recorded in another way."""
        return super().update(**columns)


def leave_without_user(collector: Any, field: Any, conversations: Any, using: str) -> None:
    """SET_NULL: the log knows the owner by a pseudonym, which stays; there is nothing to record."""
    collector.add_field_update(field, None, list(conversations))


class ConversationRow(LifecycleModel):
    """The fields of a conversation, and methods that need nothing else."""

    if TYPE_CHECKING:
        # django-lifecycle's has no types.
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    user_id: Any
    forked_from_id: int | None

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=leave_without_user,
        null=True,
        blank=True,
        related_name="turnlog_conversations",
    )
    # Never set to NULL: "unowned" means that there never was an owner, not that the owner is gone.
    owner_actor_id = models.UUIDField(null=True, blank=True, editable=False)
    title = LineField(_("title"), max_length=255, blank=True)
    # The conversation that this one continues, and the version of it that this one starts from.
    forked_from = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="forks",
    )
    forked_at = models.IntegerField(null=True, blank=True, editable=False)
    # The name of a side stream, which holds what reviewers do; NULL for conversations.
    beside = models.CharField(max_length=64, null=True, unique=True, blank=True, editable=False)
    created_at = MomentField(_("created at"), auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.title or f"#{self.pk}"

    def _do_insert(self, manager: Any, using: str, *args: Any, **kwargs: Any) -> Any:
        # Django believes that the row is there, and fails in various ways where it is not.
        insert = super()._do_insert  # type: ignore[misc]  # Django's own method.
        try:
            rows = insert(manager, using, *args, **kwargs)
        except NotSupportedError as error:
            # PostgreSQL returns no key from a table with a rule that replaces the insert.
            what = f"expected the number of a new row, found none ({str(error).splitlines()[0]})"
            raise NotStored(self._meta.db_table, what) from error
        if not rows or rows[0] is None:
            raise NotStored(self._meta.db_table, "expected the database to write 1 row, found none")
        pk = rows[0][0] if self.pk is None else self.pk
        require_own_stream(pk, using)
        self._require_as_given(pk, using)
        return rows

    def _do_update(self, *args: Any, **kwargs: Any) -> Any:
        # What was changed is an event of this transaction, so the row has to say the same.
        done = super()._do_update(*args, **kwargs)
        _, using, pk, values, *_ = args
        written = [field.name for field, *_ in values if field.name in _SAID]
        if written and rows().using(using).filter(pk=pk).exists():
            self._require_as_given(pk, using, written)
        return done

    def _require_as_given(
        self, pk: int, using: str, names: Sequence[str] = ("user", "owner_actor_id")
    ) -> None:
        """Raise NotStored if the database has stored other values than this object's, such as
        another owner: it would let others in."""
        fields: list[Any] = [self._meta.get_field(name) for name in names]
        given = tuple(field.to_python(getattr(self, field.attname)) for field in fields)
        columns = [field.attname for field in fields]
        stored = rows().using(using).filter(pk=pk).values_list(*columns).first()
        if stored != given:
            what = f"expected {', '.join(names)} to be stored as {given}, found {stored}"
            raise NotStored(self._meta.db_table, what)

    def is_open_to(self, user: Any) -> bool:
        """Whether a user may read and write here: logged in, and owner, or there is no owner."""
        if user is None or not user.is_authenticated:
            return False
        if self.user_id is None and self.owner_actor_id is None:
            return True
        return bool(self.user_id == user.pk)


def rows() -> ConversationQuerySet[ConversationRow]:
    """All conversations, in the log's database.

    Side streams are among them. The one way up from here: the table belongs to the concrete model,
    which knows the operations.
    """
    model = apps.get_model("turnlog_events", "Conversation")
    found: ConversationQuerySet[ConversationRow] = model._default_manager.using(log_database())
    return found


def require_own_stream(pk: int, using: str) -> None:
    """Raise AppendOnlyError if a new conversation's number has events: those of another one.

    A trigger refuses it too. Where it is gone as well, this one still does.
    """
    if Event.objects.using(using).filter(stream_id=pk).exists():
        raise AppendOnlyError(
            f"conversation {pk}: expected a number without events for a new conversation, found"
            " those of another one; nothing was created: run `manage.py migrate turnlog_events"
            " --skip-checks`, which moves the numbers on"
        )


def require_conversation(pk: int) -> None:
    """Raise UnknownConversation if no conversation has this number."""
    if not rows().filter(pk=pk).exists():
        raise UnknownConversation(pk)
