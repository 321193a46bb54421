"""What the next turn's model is given of what was said before, and how the log says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import TextField
from django.db.models.functions import Cast

from ...core.asynchronous import in_database_thread
from ...events.listed import Listed
from ...events.models import Conversation, Event
from ...events.tables.database import log_database
from ...projections.messages.previous import Previous
from ...projections.models import ConversationMessage
from ...projections.travel.prompts import described

if TYPE_CHECKING:
    from .agent import AgentMixin


class Given(NamedTuple):
    """The messages before the human's, `TurnStarted.previous` of them, and the stream's version at
    which they were read."""

    messages: Sequence[Any]
    previous: dict[str, Any]
    read_at: int


class _Read(NamedTuple):
    version: int
    entries: Sequence[Listed]
    ruled: Previous


async def read_given(chat: AgentMixin, conversation: Conversation) -> Given:
    """What `aget_prompt_messages` gives, as of a version of the conversation that it names.

    Raises what overridden methods raise, and CodecError for messages that cannot be kept.
    """
    from langchain_core.messages import convert_to_messages

    read = await _read(chat, conversation)
    if not _is_overridden(chat):
        return Given(read.ruled.messages, read.ruled.described(), read.version)
    # Compared, not taken at its word: messages can be changed in place.
    messages = convert_to_messages(await chat.aget_prompt_messages())
    previous = await asyncio.to_thread(described, messages, read.ruled, read.entries)
    return Given(messages, previous, read.version)


def _is_overridden(chat: AgentMixin) -> bool:
    from .agent import AgentMixin

    return any(
        getattr(getattr(chat, name), "__func__", None) is not vars(AgentMixin)[name]
        for name in ("aget_previous_messages", "aget_prompt_messages")
    )


@in_database_thread
def _read(chat: AgentMixin, conversation: Conversation) -> _Read:
    using = log_database()
    events = Event.objects.using(using).filter(stream_id=conversation.pk).order_by("-version")
    # First: what is appended after this may or may not be among the messages, and the turn's
    # start will notice.
    version = events.values_list("version", flat=True).first() or 0
    entries = _entries(conversation, chat.get_user(), using)
    return _Read(version, entries, chat.get_llm_history_rule().of_entries(entries))


def _entries(conversation: Conversation, user: Any, using: str) -> list[Listed]:
    """What `get_histories` reads, with the stored text instead of what it stands for."""
    mine = ConversationMessage.objects.using(using).filter(conversation=conversation).of(user)
    text = Cast("content", TextField())
    rows = mine.order_by("version").values_list(
        "version", "turn_id", "actor_id", text, "created_at"
    )
    return [Listed(*row) for row in rows]
