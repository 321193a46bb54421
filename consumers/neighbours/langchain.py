"""LangChain's chat history, as turns of the log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from ...core import codec
from ...core.asynchronous import in_database_thread
from ...events.models import Conversation
from .dialects import KEY, entries, human, raw_of, require_conversation, tool_output

DIALECT = "langchain"


class TurnlogChatMessageHistory(BaseChatMessageHistory):
    """The messages of one user in a conversation; what is added becomes turns of the log.

    A HumanMessage begins a turn, and is committed at once. An AIMessage without tool calls ends it.
    What comes in between waits in this object until then, and is recorded with the answer. `clear`
    empties the message list; the log keeps everything. `user` None: a guest's messages.

    Raises ArgumentError for anything but a Conversation, and what `start_turn` and `record_turn`
    raise.
    """

    def __init__(self, conversation: Conversation, user: Any = None) -> None:
        self._conversation = require_conversation(conversation)
        self._user = user
        self._open: tuple[uuid.UUID, HumanMessage] | None = None
        self._between: list[BaseMessage] = []

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # LangChain's is an attribute.
        """The messages as they were added, and those of turns that were recorded otherwise."""
        found: list[BaseMessage] = []
        for entry in entries(self._conversation, self._user):
            found += _as_added(entry.message)
        if self._open is not None:
            found += [*_as_added(self._open[1]), *self._between]
        return found

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        for message in messages:
            self._add(message)

    def clear(self) -> None:
        self._open, self._between = None, []
        self._conversation.clear(by=self._user)

    async def aget_messages(self) -> list[BaseMessage]:
        return await in_database_thread(lambda: self.messages)()

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        await in_database_thread(self.add_messages)(messages)

    async def aclear(self) -> None:
        await in_database_thread(self.clear)()

    def _add(self, message: BaseMessage) -> None:
        if isinstance(message, HumanMessage):
            self._end()
            self._begin(message)
            return
        if self._open is None:
            # The model, or a system prompt, speaks first.
            self._begin(human("", DIALECT, []), {"initial": True})
        if isinstance(message, AIMessage) and not message.tool_calls:
            self._record(message)
        else:
            self._between.append(message)

    def _begin(self, message: HumanMessage, metadata: dict[str, Any] | None = None) -> None:
        turn = self._conversation.start_turn(message, user=self._user, metadata=metadata)
        self._open, self._between = (turn.turn_id, message), []

    def _end(self) -> None:
        """End a turn that has no answer, before the next one begins."""
        if self._open is not None and self._between:
            self._record(AIMessage(""), is_added=False)
        elif self._open is not None:
            self._conversation.fail_turn(self._open[0], "interrupted")
            self._open = None

    def _record(self, message: AIMessage, *, is_added: bool = True) -> None:
        if self._open is None:
            return
        turn_id, said = self._open
        documents = [codec.encode(each) for each in self._between]
        stored = message
        if documents or not is_added:
            raw = {"before": documents, "added": is_added}
            kwargs = {**message.additional_kwargs, KEY: {"name": DIALECT, "raw": raw}}
            stored = message.model_copy(update={"additional_kwargs": kwargs})
        self._conversation.record_turn(
            said, stored, _tools(self._between) or None, user=self._user, turn_id=turn_id
        )
        self._open, self._between = None, []


def _as_added(message: BaseMessage) -> list[BaseMessage]:
    raw = raw_of(message, DIALECT)
    if raw is None:
        return [message]
    if not raw:
        return []
    before = [codec.decode(each) for each in raw["before"]]
    kwargs = {name: value for name, value in message.additional_kwargs.items() if name != KEY}
    own = [message.model_copy(update={"additional_kwargs": kwargs})] if raw["added"] else []
    return [*before, *own]


def _tools(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    calls = {
        call["id"]: call
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    return [
        tool_output(
            call["name"] if (call := calls.get(each.tool_call_id)) else each.name or "",
            each.tool_call_id,
            call["args"] if call else None,
            each.text,
        )
        for each in messages
        if isinstance(each, ToolMessage)
    ]
