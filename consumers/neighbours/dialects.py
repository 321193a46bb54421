"""A framework's messages in a turn of the log: text for people, and beside it what it was, exactly.

A message of the log has a `dialect` in its `additional_kwargs`: the framework's name, and its own
messages as JSON values. They belong to the payload: they are proven, exported and erased with it.
They are no JSON text: in a text, escapes would hide personal data from what masks it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.errors import ArgumentError
from ...events.models import Conversation
from ...events.tables.database import log_database
from ...projections.models import ConversationMessage

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

KEY = "dialect"


class Entry(NamedTuple):
    """A message of the message list, the turn that it belongs to, and when it was recorded."""

    turn_id: uuid.UUID | None
    message: BaseMessage
    at: dt.datetime


def human(text: str, dialect: str, raw: Any) -> HumanMessage:
    """Return what the user said, with the framework's own messages."""
    from langchain_core.messages import HumanMessage

    return HumanMessage(text, additional_kwargs={KEY: {"name": dialect, "raw": raw}})


def answer(text: str, dialect: str, raw: Any, **more: Any) -> AIMessage:
    """Return what was answered, with the framework's own messages."""
    from langchain_core.messages import AIMessage

    return AIMessage(text, additional_kwargs={KEY: {"name": dialect, "raw": raw}}, **more)


def raw_of(message: Any, dialect: str) -> Any:
    """Return a message's own form in a dialect, as JSON values; None if it has another or none."""
    kept = message.additional_kwargs.get(KEY)
    if not isinstance(kept, dict) or kept.get("name") != dialect:
        return None
    return kept.get("raw")


def entries(conversation: Conversation, user: Any) -> Iterator[Entry]:
    """Yield a user's messages as they are listed now, without tools' outputs."""
    from langchain_core.messages import BaseMessage

    here = ConversationMessage.objects.using(log_database())
    listed = here.filter(conversation=conversation, event__payload__isnull=False).of(user)
    for row in listed.order_by("version"):
        if isinstance(row.content, BaseMessage):
            yield Entry(row.turn_id, row.content, row.created_at)


def require_conversation(given: Any) -> Conversation:
    """Return what is a conversation. Raises ArgumentError."""
    if isinstance(given, Conversation):
        return given
    raise ArgumentError("conversation", "a Conversation", given)


def tool_output(name: str, call_id: str, given: Any, output: Any) -> dict[str, Any]:
    """Return a call as `record_turn` takes it, so that people see it too.

    Arguments that are JSON text become what the text says.
    """
    if isinstance(given, str):
        with contextlib.suppress(ValueError, RecursionError):
            given = json.loads(given)
    return {"tool": name, "tool_call_id": call_id, "input": given, "output": output}
