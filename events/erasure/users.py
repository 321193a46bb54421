"""Erases everything of a user: their conversations and turns and, on request, their identity."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from ...core.errors import ErasureIncomplete, ReceiptNotKept, TurnlogError
from ..tables.actor import Actor
from ..tables.conversation import rows
from ..tables.database import log_database
from ..tables.event import Event
from ..types import NEVER_ERASED
from .act import Wanted
from .erase import erase_wanted
from .forgetting import forget_user, require_user
from .reasons import require_reason
from .receipts import Receipt

_PAGE = 500


def erase_user(
    user: Any,
    by: Any = None,
    reason: str = "",
    forget: bool = False,
    *,
    dry_run: bool = False,
) -> Iterator[Receipt]:
    """Erase the conversations that a user owns, and their turns in those of others.

    Works while it is iterated over, with one transaction per conversation, and yields a receipt for
    each conversation in which something was erased. If it is cut off, run it again. With `forget`,
    it calls `forget_user` last, if all could be erased. With `dry_run`, it erases and forgets
    nothing; the receipts say what would be erased.

    Raises UnknownUser and ReasonRefused at once; ErasureIncomplete at the end, if something could
    not be erased because it is under a legal hold or a turn is being answered.
    """
    require_user(user)
    return _erase_user(user, by, require_reason(reason), forget, dry_run)


def _erase_user(user: Any, by: Any, reason: str, forget: bool, dry_run: bool) -> Iterator[Receipt]:
    errors: list[TurnlogError] = []
    blocked = False
    for pk, wanted in _of_user(user, Actor.objects.known(user)):
        try:
            receipt = erase_wanted(pk, wanted, by=by, reason=reason, dry_run=dry_run)
        except ReceiptNotKept as error:
            # The erasure itself is done.
            errors.append(error)
            receipt = error.receipt
        except TurnlogError as error:
            blocked = True
            errors.append(error)
            if not isinstance(error, ErasureIncomplete):
                continue
            receipt = error.receipt  # Of the part that is erased.
        if receipt:
            yield receipt
    if forget and not blocked and not dry_run:
        try:
            forget_user(user, by=by, reason=reason)
        except TurnlogError as error:
            errors.append(error)
    if errors:
        raise ErasureIncomplete(errors)


def _of_user(user: Any, actor_id: uuid.UUID | None) -> Iterator[tuple[int, Wanted]]:
    """Yield what to erase for a user, by conversation."""
    using = log_database()
    owned = Q(user_id=user.pk)
    if actor_id is not None:
        owned |= Q(user_id=None, owner_actor_id=actor_id)
    conversations = rows().filter(owned).order_by("pk")
    last = 0
    while page := list(conversations.filter(pk__gt=last).values_list("pk", flat=True)[:_PAGE]):
        for pk in page:
            yield pk, Wanted(everything=True)
        last = page[-1]
    if actor_id is None:
        return
    # There is no index on actors: this reads the whole log, once.
    said = Event.objects.using(using).filter(actor_id=actor_id, payload__isnull=False)
    # What they did with other people's data stays on record, under a pseudonym that is nobody's.
    said = said.exclude(type__in=(*NEVER_ERASED, "AccessRecorded")).order_by()
    for stream in sorted(said.values_list("stream_id", flat=True).distinct()):
        if not conversations.filter(pk=stream).exists():
            of_stream = said.filter(stream_id=stream)
            turns = of_stream.filter(turn_id__isnull=False).values_list("turn_id", flat=True)
            alone = of_stream.filter(turn_id=None).values_list("version", flat=True)
            yield stream, Wanted(turns=frozenset(filter(None, turns)), versions=frozenset(alone))
