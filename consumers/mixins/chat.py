from __future__ import annotations

from typing import Any

from ...core.asynchronous import in_database_thread
from ...events.models import Conversation
from ...events.tables.database import log_database

_KEYS = ("conversation_pk", "conversation_id", "pk", "id")


class ChatMixin:
    """The chat's user and its conversation."""

    scope: Any
    _conversation: Conversation | None = None

    async def can_accept(self) -> bool:
        """Return whether this person may enter.

        By default, users who are logged in may enter their own conversations and those without an
        owner. Override this for finer rules; return True to let everyone in.
        """
        user = self.get_user()
        if user is None or not user.is_authenticated:
            return False
        conversation = await self.aget_conversation()
        return conversation is None or conversation.is_open_to(user)

    def get_user(self) -> Any:
        """Return the person at the other end: a user, an AnonymousUser, or None."""
        return self.scope.get("user")

    def get_conversation_pk(self) -> str | None:
        """Return the conversation's identifier in the URL, as text; None if the URL has none.

        The URL's arguments `conversation_pk`, `conversation_id`, `pk` and `id` are tried in order.
        """
        kwargs = self.scope.get("url_route", {}).get("kwargs", {})
        for key in _KEYS:
            if kwargs.get(key) is not None:
                return str(kwargs[key])
        return None

    async def aget_conversation(self) -> Conversation | None:
        """Return the conversation of `get_conversation_pk()`; None if there is none.

        It is looked up once for each connection, which has the same conversation throughout.
        """
        if self._conversation is None and (pk := self.get_conversation_pk()) is not None:
            self._conversation = await in_database_thread(find_conversation)(pk)
        return self._conversation


def overrides(chat: Any, owner: type, *names: str) -> bool:
    """Return whether a chat has its own of these methods, instead of those of `owner`."""
    return any(
        getattr(getattr(chat, name), "__func__", None) is not vars(owner)[name] for name in names
    )


def find_conversation(pk: str) -> Conversation | None:
    """The conversation that a URL names; None if there is none."""
    try:
        # Not from a replica: the conversation may have been created a moment ago.
        return Conversation.objects.using(log_database()).filter(pk=pk).first()
    except (ValueError, OverflowError):
        return None  # Not a number, so no conversation has it.
