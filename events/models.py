"""The entrance to the write side: its models, and what you can do with a conversation."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, cast

from django.db import models
from django.utils.translation import gettext_lazy as _
from django_lifecycle import BEFORE_SAVE, hook

from ..core.asynchronous import in_database_thread
from ..core.errors import AppendOnlyError
from . import forks, turns
from .erasure import holds
from .erasure.erase import erase
from .erasure.receipts import Receipt
from .prompt import Prompt
from .store.sqlite import begin_writing
from .tables.actor import Actor
from .tables.content import Content
from .tables.conversation import ConversationRow
from .tables.draft import Draft
from .tables.event import Event, Pending, Position
from .tables.held import hold_of
from .tables.proof import SignedCheckpoint, Tile
from .tables.runner import Runner
from .turns import Turn
from .types import Outcome

__all__ = [
    "Actor",
    "Content",
    "Conversation",
    "Draft",
    "Event",
    "Pending",
    "Position",
    "Runner",
    "SignedCheckpoint",
    "Tile",
]


class Conversation(ConversationRow):
    """One chat room's history, owned by at most one user. Its primary key is its stream."""

    objects: ClassVar[models.Manager[Conversation]]

    class Meta:
        db_table = "turnlog_conversation"
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")

    @hook(BEFORE_SAVE)  # type: ignore[untyped-decorator]  # django-lifecycle has no types.
    def _remember_owner(self) -> None:
        if self.user_id is not None:
            begin_writing()  # In the transaction that save() opened.
            self.owner_actor_id = Actor.objects.id_of(self.user)

    def start_turn(
        self,
        human_message: Any,
        *,
        user: Any = None,
        turn_id: uuid.UUID | None = None,
        prompt: Prompt | Callable[[], Prompt] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Turn:
        """Commit the human's words before the model is called; see `turns.start`."""
        return turns.start(
            self.pk, human_message, user=user, turn_id=turn_id, prompt=prompt, metadata=metadata
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
        rounds: Sequence[Any] | None = None,
    ) -> list[Event]:
        """Append a finished turn as one batch; see `turns.record`."""
        return turns.record(
            self.pk,
            human_message,
            ai_message,
            tools_output_list,
            user=user,
            turn_id=turn_id,
            metadata=metadata,
            rounds=rounds,
        )

    def fail_turn(
        self,
        turn_id: uuid.UUID,
        outcome: Outcome = "failed",
        *,
        error: Mapping[str, str] | None = None,
        ai_message: Any = None,
        tools_output_list: Sequence[Any] | None = None,
        rounds: Sequence[Any] | None = None,
    ) -> list[Event]:
        """Close a started turn that has no answer to keep; see `turns.fail`."""
        return turns.fail(
            self.pk,
            turn_id,
            outcome,
            error=error,
            ai_message=ai_message,
            tools_output_list=tools_output_list,
            rounds=rounds,
        )

    def clear(self, by: Any = None, reason: str = "") -> Event:
        """Empty the message list up to here; the log keeps everything. See `turns.clear`."""
        return turns.clear(self.pk, by=by, reason=reason)

    def fork(
        self,
        version: int | None = None,
        at: dt.datetime | None = None,
        user: Any = None,
    ) -> Conversation:
        """Open a new conversation that continues this one from a moment; see `forks.fork`."""
        return cast(Conversation, forks.fork(self.pk, version, at, user=user))

    def erase(
        self,
        turns: Iterable[uuid.UUID | str] | None = None,
        by: Any = None,
        reason: str = "",
    ) -> Receipt:
        """Erase the words of these turns, or of all, everywhere; see `erasure.erase.erase`."""
        receipt = erase(self.pk, turns, by=by, reason=reason)
        if receipt.title:
            self.title = ""  # Otherwise saving this object would bring it back.
        return receipt

    def hold(self, by: Any = None, reason: str = "") -> Event:
        """Keep the conversation from being erased until `lift_hold`; see `holds.place`."""
        return holds.place(self.pk, by=by, reason=reason)

    def lift_hold(self, by: Any = None, reason: str = "") -> Event:
        """End the legal hold; see `holds.lift`."""
        return holds.lift(self.pk, by=by, reason=reason)

    def is_held(self) -> bool:
        """Return whether the conversation is under a legal hold."""
        return hold_of(self.pk) is not None

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


def refuse_deletion(*, instance: Conversation, **kwargs: Any) -> NoReturn:
    """Receiver of pre_delete, which a query set's delete() sends as well."""
    raise AppendOnlyError(
        f"conversation {instance.pk} is a stream of the log and is never deleted;"
        " clear() empties what people see"
    )
