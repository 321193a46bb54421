"""Forgets which user a pseudonym stands for: on request, or when the Django user is deleted."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone

from ...core.errors import NotStored, UnknownUser
from .. import hooks
from ..store.isolation import locking
from ..store.sqlite import begin_writing
from ..tables.actor import Actor
from ..tables.conversation import rows
from ..tables.database import log_database
from ..tables.held import require_no_hold_of
from . import receipt_files
from .reasons import require_reason
from .receipts import Forgotten


def forget_user(user: Any, by: Any = None, reason: str = "") -> None:
    """Forget which pseudonym in the log is the user's, and remove the user from their rows.

    Their conversations stay, get no other owner and are open to no user. The Django user stays as
    it is; deleting it has the same effect. `by` and `reason` are for the receipt.

    Raises UnknownUser if the user is not a stored one, ReasonRefused, LegalHold if a conversation
    that they own or took part in is held, ErasureFailed if a projection could not forget. In these
    cases the user is not forgotten. Raises ReceiptNotKept if the receipt could not be written; then
    the user is forgotten.
    """
    require_user(user)
    if reason:
        reason = require_reason(reason)
    using = log_database()
    with locking(using):
        begin_writing()
        # Locked first: a turn of theirs in a held conversation ends before, or is a stranger's.
        actor = _last_of(user.pk, using)
        require_no_hold_of(user.pk, None if actor is None else actor.pk)
        if actor is not None:
            actor.forgotten_by, actor.forgotten_for = Actor.objects.id_of(by), reason
            actor.delete()
            if Actor.objects.using(using).filter(user_id=user.pk).exists():
                raise NotStored("turnlog_actor", "expected no row of the forgotten user, found one")
        rows().filter(user_id=user.pk).rewrite(user=None)
        if rows().filter(user_id=user.pk).exists():
            what = "expected no conversation of the forgotten user, found one"
            raise NotStored("turnlog_conversation", what)
        for forgetter in hooks.forgetters:
            forgetter(user)


def forget_again(forgotten: Forgotten) -> bool:
    """Forget again the user that a receipt names; False if the log does not know the pseudonym."""
    actor = Actor.objects.using(log_database()).filter(pk=forgotten.actor).first()
    if actor is None:
        return False
    forget_user(actor.user, reason=forgotten.reason)
    return True


def require_user(user: Any) -> None:
    """Raise UnknownUser for a guest, and for a user that was deleted or never saved.

    Without a primary key, unowned and forgotten users' conversations would look like theirs.
    """
    if getattr(user, "pk", None) is None:
        raise UnknownUser(user)


def before_user(*, instance: Any, using: str, **kwargs: Any) -> None:
    """Receiver of pre_delete of a user. Raises LegalHold: a user may have no actor to protect."""
    actor = _last_of(instance.pk, using)
    require_no_hold_of(instance.pk, None if actor is None else actor.pk)


def before_actor(*, instance: Actor, **kwargs: Any) -> None:
    """Receiver of pre_delete of an actor, however it is deleted. Raises LegalHold."""
    require_no_hold_of(instance.user_id, instance.pk)


def _last_of(user_id: Any, using: str) -> Actor | None:
    """The row of a user who is about to be forgotten; None if there never was one.

    Waits for transactions that add rows for this user; later ones add rows without the user.
    """
    actor: Actor | None = (
        Actor.objects.using(using).select_for_update().filter(user_id=user_id).first()
    )
    # For rows that were created without the hooks: an owned conversation must not look unowned.
    nameless = rows().filter(user_id=user_id, owner_actor_id=None)
    nameless.rewrite(owner_actor_id=uuid.uuid4() if actor is None else actor.pk)
    return actor


def after_actor(*, instance: Actor, using: str, **kwargs: Any) -> None:
    """Receiver of post_delete of an actor, however it is deleted: a backup would bring it back."""
    receipt = Forgotten(
        actor=instance.pk,
        at=timezone.now(),
        by=instance.forgotten_by,
        reason=instance.forgotten_for,
    )
    transaction.on_commit(lambda: receipt_files.keep(receipt), using=using)
