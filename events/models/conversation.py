from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models, router
from django.utils.translation import gettext_lazy as _
from django_lifecycle import BEFORE_SAVE, LifecycleModel, hook

from ...core.asynchronous import in_database_thread
from ...core.errors import AppendOnlyError, UnknownConversation
from .actor import Actor

if TYPE_CHECKING:
    from ..erasure.receipts import Receipt
    from ..prompt import Prompt
    from ..turns import Turn
    from ..types import Outcome
    from .event import Event


class Conversation(LifecycleModel):
    """One chat room's history, owned by at most one user. Its primary key is its stream."""

    objects: ClassVar[models.Manager[Conversation]]
    user_id: Any
    forked_from_id: int | None

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="turnlog_conversations",
    )
    # Never nulled: "unowned" means that it never had an owner, not that the owner is gone.
    owner_actor_id = models.UUIDField(null=True, blank=True, editable=False)
    title = models.CharField(_("title"), max_length=255, blank=True)
    # What this one continues, and from which version of it on.
    forked_from = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="forks",
    )
    forked_at = models.IntegerField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "turnlog_conversation"
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")

    def __str__(self) -> str:
        return self.title or f"#{self.pk}"

    @hook(BEFORE_SAVE)
    def _remember_owner(self) -> None:
        if self.user_id is not None:
            from ..dialects import begin_writing

            begin_writing()  # Of the transaction that save() is.
            self.owner_actor_id = Actor.objects.id_of(self.user)

    def is_open_to(self, user: Any) -> bool:
        """Whether a user may read and write here: logged in, and owner or nobody is."""
        if user is None or not user.is_authenticated:
            return False
        if self.user_id is None and self.owner_actor_id is None:
            return True
        return bool(self.user_id == user.pk)

    def start_turn(
        self,
        human_message: Any,
        *,
        user: Any = None,
        turn_id: uuid.UUID | None = None,
        prompt: Prompt | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Turn:
        """Commit the human's words before the model is called; see `turns.start`."""
        from .. import turns

        return turns.start(
            self,
            human_message,
            user=user,
            turn_id=turn_id,
            prompt=prompt,
            metadata=metadata,
        )

    def record_turn(
        self,
        human_message: Any,
        ai_message: Any,
        tools_output_list: Sequence[Any] | None = None,
        *,
        user: Any = None,
        turn_id: uuid.UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Event]:
        """Append a finished turn as one batch; see `turns.record`."""
        from .. import turns

        return turns.record(
            self,
            human_message,
            ai_message,
            tools_output_list,
            user=user,
            turn_id=turn_id,
            metadata=metadata,
        )

    def fail_turn(
        self,
        turn_id: uuid.UUID,
        outcome: Outcome = "failed",
        *,
        error: Mapping[str, str] | None = None,
        ai_message: Any = None,
        tools_output_list: Sequence[Any] | None = None,
    ) -> list[Event]:
        """Close a started turn that has no answer to keep; see `turns.fail`."""
        from .. import turns

        return turns.fail(
            self,
            turn_id,
            outcome,
            error=error,
            ai_message=ai_message,
            tools_output_list=tools_output_list,
        )

    def clear(self, by: Any = None, reason: str = "") -> Event:
        """Empty the message list from here on; the log keeps everything. See `turns.clear`."""
        from .. import turns

        return turns.clear(self, by=by, reason=reason)

    def fork(
        self,
        version: int | None = None,
        at: dt.datetime | None = None,
        user: Any = None,
    ) -> Conversation:
        """A new conversation that continues this one from a moment on; see `forks.fork`."""
        from .. import forks

        return forks.fork(self, version, at, user=user)

    def erase(
        self,
        turns: Iterable[uuid.UUID | str] | None = None,
        by: Any = None,
        reason: str = "",
    ) -> Receipt:
        """Erase the words of turns, or of all of it, from everywhere; see `erasing.erase`."""
        from ..erasure import erasing

        return erasing.erase(self, turns, by=by, reason=reason)

    def hold(self, by: Any = None, reason: str = "") -> Event:
        """Let nothing of it be erased until `lift_hold`; see `holds.place`."""
        from ..erasure import holds

        return holds.place(self, by=by, reason=reason)

    def lift_hold(self, by: Any = None, reason: str = "") -> Event:
        """End the legal hold; see `holds.lift`."""
        from ..erasure import holds

        return holds.lift(self, by=by, reason=reason)

    def is_held(self) -> bool:
        """Whether it is under a legal hold."""
        from ..erasure import holds

        return holds.hold_of(self.pk) is not None

    astart_turn = in_database_thread(start_turn)
    arecord_turn = in_database_thread(record_turn)
    afail_turn = in_database_thread(fail_turn)
    aclear = in_database_thread(clear)
    afork = in_database_thread(fork)
    aerase = in_database_thread(erase)
    ahold = in_database_thread(hold)
    alift_hold = in_database_thread(lift_hold)
    ais_held = in_database_thread(is_held)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse_deletion(instance=self)


def require_conversation(pk: int) -> None:
    """Raises UnknownConversation for a number that no conversation has."""
    there = Conversation.objects.using(router.db_for_write(Conversation))
    if not there.filter(pk=pk).exists():
        raise UnknownConversation(pk)


def refuse_deletion(*, instance: Conversation, **kwargs: Any) -> NoReturn:
    """Receiver of pre_delete, which a queryset's delete() sends as well."""
    raise AppendOnlyError(
        f"conversation {instance.pk} is a stream of the log and is never deleted;"
        " clear() empties what people see"
    )
