"""Everything of a person: what they said and were told, and, if that is wanted, who they are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import Q

from ...core.errors import ErasureIncomplete, TurnlogError
from .. import hooks
from ..dialects import begin_writing, log_database
from ..models import Actor, Conversation, Event
from .erasing import KEPT, Wanted, erase_wanted
from .reasons import require_reason
from .receipts import Receipt

_PAGE = 500


def erase_user(
    user: Any, by: Any = None, reason: str = "", forget: bool = False
) -> Iterator[Receipt]:
    """Erase the conversations that a user owns, and their turns in those of others.

    Works as it is iterated over, a transaction for each conversation; yields a receipt for each in
    which there was something. Cut off, it is simply run again. With `forget`, `forget_user` comes
    last, if all could be erased.

    Raises ReasonRefused at once; ErasureIncomplete at the end, if something could not be erased:
    what is under a legal hold, or is being answered.
    """
    return _erase_user(user, by, require_reason(reason), forget)


def _erase_user(user: Any, by: Any, reason: str, forget: bool) -> Iterator[Receipt]:
    errors: list[TurnlogError] = []
    actor_id = Actor.objects.using(log_database()).filter(user_id=user.pk).values_list("id").first()
    for pk, wanted in _of_user(user, actor_id[0] if actor_id else None):
        try:
            receipt = erase_wanted(pk, wanted, by=by, reason=reason)
        except TurnlogError as error:
            errors.append(error)
            continue
        if receipt:
            yield receipt
    if errors:
        raise ErasureIncomplete(errors)
    if forget:
        forget_user(user)


def forget_user(user: Any) -> None:
    """Forget whom the user's pseudonym in the log stands for; their rows name nobody any more.

    Their conversations stay, belong to nobody else and are open to nobody. The Django user is left
    as it is; deleting it does the same. Raises ErasureFailed where a projection could not forget.
    """
    using = log_database()
    with transaction.atomic(using=using):
        begin_writing()
        theirs = Conversation.objects.using(using).filter(user_id=user.pk)
        nameless = theirs.filter(owner_actor_id=None)
        if nameless.exists():
            # Whose it was must not look like nobody's.
            nameless.update(owner_actor_id=Actor.objects.id_of(user))
        # First: whoever makes rows for this person waits for it, or is waited for, and makes the
        # next ones without a name.
        Actor.objects.using(using).filter(user_id=user.pk).delete()
        theirs.update(user=None)
        for forgetter in hooks.forgetters:
            forgetter(user)
    # A user who speaks again is somebody new.
    if hasattr(user, "_turnlog_actor_id"):
        del user._turnlog_actor_id


def _of_user(user: Any, actor_id: uuid.UUID | None) -> Iterator[tuple[int, Wanted]]:
    """What is theirs, by conversation."""
    using = log_database()
    owned = Q(user_id=user.pk)
    if actor_id is not None:
        owned |= Q(user_id=None, owner_actor_id=actor_id)
    conversations = Conversation.objects.using(using).filter(owned).order_by("pk")
    last = 0
    while page := list(conversations.filter(pk__gt=last).values_list("pk", flat=True)[:_PAGE]):
        for pk in page:
            yield pk, Wanted(everything=True)
        last = page[-1]
    if actor_id is None:
        return
    # No index leads to an actor: this walks through the log, once.
    said = Event.objects.using(using).filter(actor_id=actor_id, payload__isnull=False)
    said = said.exclude(type__in=KEPT).order_by()
    for stream in sorted(said.values_list("stream_id", flat=True).distinct()):
        if not conversations.filter(pk=stream).exists():
            of_stream = said.filter(stream_id=stream)
            turns = of_stream.filter(turn_id__isnull=False).values_list("turn_id", flat=True)
            alone = of_stream.filter(turn_id=None).values_list("version", flat=True)
            yield stream, Wanted(turns=frozenset(turns), versions=frozenset(alone))
