"""What a person said in a turn that is answered again."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ...core import codec
from ...core.asynchronous import in_database_thread
from ...core.errors import UnknownTurn
from ...events.models import Actor, Conversation, Event
from ...events.tables.database import log_database
from ...events.types import MessageAppended, TurnStarted

if TYPE_CHECKING:
    from langchain_core.messages import HumanMessage


def said_again(
    conversation: Conversation, turn_id: uuid.UUID, user: Any
) -> tuple[HumanMessage, bool]:
    """Return this person's message of a turn, with its pictures and files; and whether the chat had
    sent it in their name.

    Raises UnknownTurn if there is no such turn of theirs, or if it is erased.
    """
    from langchain_core.messages import HumanMessage

    actor_id = Actor.objects.known(user)
    turn = Event.objects.using(log_database()).filter(
        stream_id=conversation.pk, turn_id=turn_id, actor_id=actor_id
    )
    began = turn.order_by("version").first()
    data = began.data if began else None
    human = codec.decode(data.message) if isinstance(data, TurnStarted | MessageAppended) else None
    if began is None or not isinstance(human, HumanMessage):
        raise UnknownTurn(conversation.pk, turn_id, "take the id of one of this person's turns")
    return human, bool(began.meta.get("initial"))


asaid_again = in_database_thread(said_again)
