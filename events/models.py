"""The entrance to the write side: its models, and what you can do with a conversation."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn, cast

from django.db import connections, models, transaction
from django.utils.translation import gettext_lazy as _

from ..core.asynchronous import in_database_thread, in_slow_thread
from ..core.errors import AppendOnlyError, ArgumentError, UnknownConversation
from ..core.wellformed import wellformed
from . import approvals, choosing, forks, turns
from .approvals import Resumed
from .changes import record as record_changes
from .erasure import holds
from .erasure.erase import erase
from .erasure.receipts import Receipt
from .prompt import Prompt
from .store.dialect import dialect_of
from .store.isolation import locking
from .store.sqlite import begin_writing
from .tables.actor import Actor
from .tables.blob import Blob, BlobUse
from .tables.content import Content
from .tables.conversation import (
    NAMED,
    NEVER_SAVED,
    ConversationQuerySet,
    ConversationRow,
    rows,
)
from .tables.database import log_database
from .tables.draft import Draft
from .tables.event import Event, Pending, Position
from .tables.held import hold_of
from .tables.proof import SignedCheckpoint, Tile
from .tables.runner import Runner
from .tables.upload import Upload
from .turn_block import TurnBlock
from .turns import Turn
from .types import Outcome
from .waiting import Waiting, waiting_in

__all__ = [
    "Actor",
    "Blob",
    "BlobUse",
    "Content",
    "Conversation",
    "Draft",
    "Event",
    "Pending",
    "Position",
    "Runner",
    "SignedCheckpoint",
    "Tile",
    "Upload",
]


class _Conversations(models.Manager["Conversation"]):
    """Conversations, without the streams beside them."""

    def get_queryset(self) -> ConversationQuerySet[Conversation]:
        return ConversationQuerySet(self.model, using=self._db).filter(beside=None)


class Conversation(ConversationRow):
    """One chat room's history, owned by at most one user. Its primary key is its stream."""

    objects = _Conversations()
    streams = ConversationQuerySet["Conversation"].as_manager()
    """All streams, with side streams."""

    changed_by: Any = None
    """The user who changes title or owner; the event of the next save() names them."""

    _loaded: Mapping[str, Any] = MappingProxyType({})
    """The values that are known to be stored, of the attributes whose changes are events."""

    class Meta:
        db_table = "turnlog_conversation"
        # Django dumps what these find: a side stream's events are nothing without its row.
        base_manager_name = "streams"
        default_manager_name = "streams"
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        permissions = (
            ("review_conversation", "Can review everybody's conversations"),
            ("reveal_personal_data", "Can reveal personal data in conversations"),
            ("export_log", "Can export conversations"),
            ("approve_tools", "Can approve tool calls in everybody's conversations"),
            ("erase_payload", "Can erase what was said"),
            ("verify_log", "Can verify the log"),
            ("inspect_accesses", "Can inspect who has reviewed what"),
            ("manage_queues", "Can open and fill queues of conversations to review"),
            ("resolve_reviews", "Can resolve what reviewers of a queue disagree about"),
        )

    @classmethod
    def from_db(cls, *args: Any, **options: Any) -> Conversation:
        found = super().from_db(*args, **options)
        found._note_loaded()
        return found

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        fields = None if fields is None else list(fields)
        super().refresh_from_db(using, fields, *args, **kwargs)  # type: ignore[no-untyped-call]  # django-lifecycle's.
        self._note_loaded(None if fields is None else self._named(fields))

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; in the same transaction, record a changed title or owner in the log.

        A title or an owner that this object did not change since it was loaded is not written,
        unless `update_fields` names it: it may have been erased or forgotten meanwhile. Raises
        ArgumentError if one of them is an expression, UnknownConversation, IsolationRefused.
        """
        if isinstance(self.title, str):
            self.title = wellformed(self.title)  # A database takes no half of a character.
        using = log_database()
        is_new = self.pk is None or (self._state.adding and not rows().filter(pk=self.pk).exists())
        with _transaction(self, using, is_new=is_new):
            if not is_new:
                kwargs["update_fields"] = self._record_changes(kwargs.get("update_fields"))
            elif self.user_id is not None:
                begin_writing()
                self.owner_actor_id = Actor.objects.keep_of(self.user_id)
            super().save(*args, **kwargs)  # type: ignore[no-untyped-call]  # django-lifecycle's.
            if not is_new:
                # What is stored is not sure before the commit: after a rollback, or another change
                # in this transaction, they are to be saved again.
                written = self._values(self._named(kwargs["update_fields"]))
                self._loaded = {n: v for n, v in self._loaded.items() if n not in written}
                transaction.on_commit(functools.partial(self._note, written), using=using)
        if is_new:
            self._note_loaded()

    def _named(self, fields: Iterable[str]) -> set[str]:
        """The attributes, of those whose changes are events, that these names of fields mean."""
        return {attribute for name, attribute in NAMED.items() if {name, attribute} & {*fields}}

    def _values(self, attributes: Iterable[str]) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in attributes if name in self.__dict__}

    def _note_loaded(self, attributes: Iterable[str] | None = None) -> None:
        """Remember these attributes' values as the stored ones; by default, of all."""
        self._note(self._values(NAMED.values() if attributes is None else attributes))

    def _note(self, values: Mapping[str, Any]) -> None:
        self._loaded = {**self._loaded, **values}

    def _record_changes(self, update_fields: Iterable[str] | None) -> list[str]:
        """Record what changes, and return the names of the fields to write."""
        using = log_database()
        with connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_streams(cursor, [self.pk])
        stored = rows().filter(pk=self.pk).first()
        if stored is None:
            raise UnknownConversation(self.pk)
        if update_fields is None:
            named = {name for name, attribute in NAMED.items() if self._has_changed(attribute)}
            others = {f.name for f in self._meta.concrete_fields if f.attname in self.__dict__}
        else:
            attributes = {attribute: name for name, attribute in NAMED.items()}
            others = {attributes.get(name, name) for name in update_fields}
            named = others & NAMED.keys()
        others -= {*NAMED, *NEVER_SAVED} | {
            f.name for f in self._meta.concrete_fields if f.primary_key
        }
        for name in named:
            if hasattr(given := getattr(self, NAMED[name]), "resolve_expression"):
                raise ArgumentError(name, "a value, which the log can record", given)
        changes: dict[str, Any] = {}
        if "title" in named and self.title != stored.title:
            changes["title"] = self.title
        self.owner_actor_id, owner = stored.owner_actor_id, stored.owner_actor_id
        if "user" in named and self.user_id != stored.user_id:
            if self.user_id is not None:
                self.owner_actor_id = owner = Actor.objects.keep_of(self.user_id)
            changes["owner"] = (stored.owner_actor_id, owner if self.user_id is not None else None)
            others.add("owner_actor_id")
        changes_by, self.changed_by = self.changed_by, None
        record_changes(self.pk, by=changes_by, **changes)
        return sorted(others | named)

    def _has_changed(self, attribute: str) -> bool:
        there, loaded = self.__dict__, self._loaded
        return attribute in there and (
            attribute not in loaded or there[attribute] != loaded[attribute]
        )

    def start_turn(
        self,
        human_message: Any,
        *,
        user: Any = None,
        turn_id: uuid.UUID | None = None,
        prompt: Prompt | Callable[[], Prompt] | None = None,
        metadata: Mapping[str, Any] | None = None,
        instead_of: uuid.UUID | None = None,
    ) -> Turn:
        """Commit the human's words before the model is called; see `turns.start`."""
        return turns.start(
            self.pk,
            human_message,
            user=user,
            turn_id=turn_id,
            prompt=prompt,
            metadata=metadata,
            instead_of=instead_of,
        )

    def turn(
        self,
        human_message: Any,
        *,
        user: Any = None,
        turn_id: uuid.UUID | None = None,
        prompt: Prompt | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> TurnBlock:
        """Return a turn as a block, `with` or `async with`: its words are committed when the block
        begins, its answer or failure when it ends; see `turn_block.TurnBlock`."""
        return TurnBlock(
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
        instead_of: uuid.UUID | None = None,
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
            instead_of=instead_of,
        )

    def choose_branch(self, turn_id: uuid.UUID, user: Any = None) -> Event | None:
        """Make a turn that was replaced current again; see `choosing.choose`."""
        return choosing.choose(self.pk, turn_id, user=user)

    def fail_turn(
        self,
        turn_id: uuid.UUID,
        outcome: Outcome = "failed",
        *,
        error: Mapping[str, str] | None = None,
        ai_message: Any = None,
        tools_output_list: Sequence[Any] | None = None,
        rounds: Sequence[Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
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
            metadata=metadata,
        )

    def request_approval(
        self,
        turn_id: uuid.UUID,
        calls: Sequence[Mapping[str, Any]],
        *,
        ai_message: Any = None,
        tools_output_list: Sequence[Any] | None = None,
        rounds: Sequence[Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> list[Event]:
        """Let a turn wait for a person; see `approvals.request`."""
        return approvals.request(
            self.pk,
            turn_id,
            calls,
            ai_message=ai_message,
            tools_output_list=tools_output_list,
            rounds=rounds,
            metadata=metadata,
        )

    def decide_call(
        self, turn_id: uuid.UUID, call: int, approved: bool, *, by: Any = None, reason: str = ""
    ) -> Event:
        """Record a decision about a call that waits for a person; see `approvals.decide`."""
        return approvals.decide(self.pk, turn_id, call, approved, by=by, reason=reason)

    def resume_turn(
        self,
        turn_id: uuid.UUID,
        *,
        model: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Resumed | None:
        """Go on with a turn of which all calls are decided; see `approvals.resume`."""
        return approvals.resume(self.pk, turn_id, model=model, parameters=parameters)

    def cancel_waiting(self, turn_id: uuid.UUID) -> list[Event]:
        """Close a turn that waits for a person as cancelled; see `turns.cancel_waiting`."""
        return turns.cancel_waiting(self.pk, turn_id)

    def waiting(self) -> Waiting | None:
        """Return the turn that waits for a person, and its calls, if there is one."""
        return waiting_in(self.pk)

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
            self.title = ""
            self._note_loaded(["title"])
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
    arequest_approval = in_database_thread(request_approval)
    adecide_call = in_database_thread(decide_call)
    aresume_turn = in_database_thread(resume_turn)
    acancel_waiting = in_database_thread(cancel_waiting)
    awaiting = in_database_thread(waiting)
    achoose_branch = in_database_thread(choose_branch)
    aclear = in_database_thread(clear)
    afork = in_slow_thread(fork)
    aerase = in_slow_thread(erase)
    ahold = in_database_thread(hold)
    alift_hold = in_database_thread(lift_hold)
    ais_held = in_database_thread(is_held)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse_deletion(instance=self)


def _transaction(conversation: Conversation, using: str, *, is_new: bool) -> Any:
    if not is_new:
        return locking(using)
    owned = conversation.user_id is not None
    return transaction.atomic(using=using) if owned else contextlib.nullcontext()


def refuse_deletion(*, instance: Conversation, **kwargs: Any) -> NoReturn:
    """Receiver of pre_delete, which a query set's delete() sends as well."""
    raise AppendOnlyError(
        f"conversation {instance.pk} is a stream of the log and is never deleted;"
        " clear() empties what people see"
    )
