"""Who somebody is: forgotten on request, or with their Django user."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.utils import timezone

from ...core.errors import UnknownUser
from .. import hooks
from ..store.sqlite import begin_writing
from ..tables.actor import Actor
from ..tables.conversation import rows
from ..tables.database import log_database
from ..tables.held import require_no_hold_of
from . import receipt_files
from .reasons import require_reason
from .receipts import Forgotten


def forget_user(user: Any, by: Any = None, reason: str = "") -> None:
    """Forget whom the user's pseudonym in the log stands for; their rows name nobody any more.

    Their conversations stay, belong to nobody else and are open to nobody. The Django user is left
    as it is; deleting it does the same. `by` and `reason` are for the receipt.

    Raises UnknownUser for nobody, ReasonRefused, LegalHold where one of their conversations or of
    those they spoke in is held, ErasureFailed where a projection could not forget; then nobody is
    forgotten. Raises ReceiptNotKept if the receipt could not be written; then they are.
    """
    require_user(user)
    if reason:
        reason = require_reason(reason)
    using = log_database()
    with transaction.atomic(using=using):
        begin_writing()
        require_no_hold_of(user.pk, _actor_id_of(user.pk))
        actor = _last_of(user.pk, using)
        if actor is not None:
            actor.forgotten_by, actor.forgotten_for = Actor.objects.id_of(by), reason
            actor.delete()
        rows().filter(user_id=user.pk).update(user=None)
        for forgetter in hooks.forgetters:
            forgetter(user)
    # A user who speaks again is somebody new.
    if hasattr(user, "_turnlog_actor_id"):
        del user._turnlog_actor_id


def forget_again(forgotten: Forgotten) -> bool:
    """Forget once more whom a receipt names; False where the log knows nobody by that pseudonym."""
    actor = Actor.objects.using(log_database()).filter(pk=forgotten.actor).first()
    if actor is None:
        return False
    forget_user(actor.user, reason=forgotten.reason)
    return True


def require_user(user: Any) -> None:
    """Raises UnknownUser for guests, and for a user that was deleted or never saved: without a key,
    what is everybody's and what is nobody's any more would look like theirs."""
    if getattr(user, "pk", None) is None:
        raise UnknownUser(user)


def before_user(*, instance: Any, using: str, **kwargs: Any) -> None:
    """Receiver of pre_delete of a user."""
    _last_of(instance.pk, using)


def _actor_id_of(user_id: Any) -> uuid.UUID | None:
    actors = Actor.objects.using(log_database()).filter(user_id=user_id)
    return actors.values_list("pk", flat=True).first()


def _last_of(user_id: Any, using: str) -> Actor | None:
    """The row of somebody who is about to be forgotten; None for who never had one.

    Whoever makes rows for this person is waited for, and makes the next ones without a name.
    """
    actor = Actor.objects.using(using).select_for_update().filter(user_id=user_id).first()
    # Of rows that went past the hooks: whose it was must not look like nobody's.
    nameless = rows().filter(user_id=user_id, owner_actor_id=None)
    nameless.update(owner_actor_id=uuid.uuid4() if actor is None else actor.pk)
    return actor


def after_actor(*, instance: Actor, using: str, **kwargs: Any) -> None:
    """Receiver of post_delete of an actor, by whichever way: a backup would bring them back."""
    receipt = Forgotten(
        actor=instance.pk,
        at=timezone.now(),
        by=instance.forgotten_by,
        reason=instance.forgotten_for,
    )
    transaction.on_commit(lambda: receipt_files.keep(receipt), using=using)
