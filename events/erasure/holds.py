"""Legal holds: what must not be erased for now. Facts in the log, as all else.

A conversation is held if the last of its HoldPlaced and HoldLifted is a HoldPlaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q

from ...core.errors import LegalHold, NotHeld
from ..dialects import log_database
from ..log import Head, NewEvent, append, append_decided
from ..models import Actor, Conversation, Event
from ..models.conversation import require_conversation
from ..types import HoldLifted, HoldPlaced
from .reasons import require_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

HOLDS = (HoldPlaced.__name__, HoldLifted.__name__)


def place(conversation: Conversation, *, by: Any = None, reason: str = "") -> Event:
    """Keep a conversation from being erased until the hold is lifted.

    Of a conversation that is held already, the new reason is the one that is told. Raises
    ReasonRefused, UnknownConversation.
    """
    data = HoldPlaced(require_reason(reason))
    require_conversation(conversation.pk)
    return append(conversation.pk, [NewEvent(data, actor_id=Actor.objects.id_of(by))])[-1]


def lift(conversation: Conversation, *, by: Any = None, reason: str = "") -> Event:
    """End a conversation's hold. Raises NotHeld, ReasonRefused, UnknownConversation."""
    data = HoldLifted(require_reason(reason))
    require_conversation(conversation.pk)
    actor_id = Actor.objects.id_of(by)

    def decide(head: Head) -> Sequence[NewEvent]:
        if hold_of(conversation.pk) is None:
            raise NotHeld(conversation.pk)
        return [NewEvent(data, actor_id=actor_id)]

    return append_decided(conversation.pk, decide)[-1]


def hold_of(stream_id: int) -> Event | None:
    """The HoldPlaced that is in force, if there is one."""
    holds = Event.objects.using(log_database()).filter(stream_id=stream_id, type__in=HOLDS)
    last = holds.order_by("-version").first()
    return last if last is not None and last.type == HoldPlaced.__name__ else None


def require_no_hold_of(user: Any) -> None:
    """Raises LegalHold if a user owns a held conversation or spoke in one: who they were is
    evidence, too."""
    using = log_database()
    actor_id = Actor.objects.using(using).filter(user_id=user.pk).values_list("pk").first()
    theirs, owned = Q(pk__in=()), Q(user_id=user.pk)
    if actor_id is not None:
        theirs, owned = Q(actor_id=actor_id[0]), owned | Q(owner_actor_id=actor_id[0])
    events = Event.objects.using(using)
    held = events.filter(type__in=HOLDS).order_by("stream_id").values_list("stream_id", flat=True)
    for stream_id in held.distinct():
        conversations = Conversation.objects.using(using).filter(owned, pk=stream_id)
        if conversations.exists() or events.filter(theirs, stream_id=stream_id).exists():
            require_no_hold(stream_id)


def require_no_hold(stream_id: int) -> None:
    """Raises LegalHold. Decides nothing unless the caller holds the stream's lock."""
    hold = hold_of(stream_id)
    if hold is not None:
        raise LegalHold(stream_id, getattr(hold.data, "reason", ""))
