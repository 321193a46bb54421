"""LangChain's chat history, as turns of the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from ...core import codec
from ...core.asynchronous import in_database_thread
from ...core.errors import CodecError
from ...events.models import Conversation
from . import opened
from .dialects import KEY, answer, entries, human, raw_of, require_conversation, tool_output

DIALECT = "langchain"


class TurnlogChatMessageHistory(BaseChatMessageHistory):
    """The messages of one user in a conversation; what is added becomes turns of the log.

    A HumanMessage begins a turn, and is committed at once. An AIMessage without tool calls ends it.
    What comes in between is a draft until then, and is recorded with the answer. If this object is
    dropped before, the conversation's next one ends the turn: with these messages, or as
    `interrupted` if there are none. `clear` empties the message list; the log keeps everything.
    `user` None: a guest's messages.

    Raises ArgumentError for anything but a Conversation, and what `start_turn` and `record_turn`
    raise.
    """

    def __init__(self, conversation: Conversation, user: Any = None) -> None:
        self._conversation = require_conversation(conversation)
        self._user = user
        self._turn: opened.OpenTurn | None = None
        # The open turn's. So many of them are in the log or in drafts.
        self._messages: list[BaseMessage] = []
        self._kept = 0

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # LangChain's is an attribute.
        """The messages as they were added, and those of turns that were recorded otherwise."""
        if self._turn is None:
            self._end_what_is_left()
        found: list[BaseMessage] = []
        for entry in entries(self._conversation, self._user):
            found += _as_added(entry.message)
        return [*found, *self._messages]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        self._append(deque(messages))

    def clear(self) -> None:
        if self._turn is not None:
            after = self._messages[len(_said(self._messages)[:1]) :]
            produced = answer("", DIALECT, _documents(after)) if after else None
            self._turn.fail("cancelled", produced, _tools(after))
            self._turn, self._messages = None, []
        self._conversation.clear(by=self._user)

    async def aget_messages(self) -> list[BaseMessage]:
        return await in_database_thread(lambda: self.messages)()

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        await in_database_thread(self._append)(deque(messages))

    async def aclear(self) -> None:
        await in_database_thread(self.clear)()

    def _append(self, messages: deque[BaseMessage]) -> None:
        """Add messages, and take them from the queue: after a lock timeout it is called again."""
        try:
            while messages:
                self._add(messages[0])
                messages.popleft()
            if self._turn is not None and self._kept < len(self._messages):
                self._turn.keep(self._kept, _documents(self._messages[self._kept :]))
                self._kept = len(self._messages)
        except CodecError:
            del self._messages[self._kept :]  # They would be in the way of all that follows.
            if not self._messages:
                self._end()
            raise

    def _add(self, message: BaseMessage) -> None:
        asks = isinstance(message, HumanMessage)
        if self._turn is None or (asks and not isinstance(self._messages[-1], HumanMessage)):
            self._end()
            self._begin(message)
        if isinstance(message, AIMessage) and not message.tool_calls:
            self._end(message)
        else:
            self._messages.append(message)

    def _begin(self, message: BaseMessage) -> None:
        self._end_what_is_left(thoroughly=True)
        # Otherwise the model, or a system prompt, speaks first.
        asks = isinstance(message, HumanMessage)
        self._turn = opened.begin(
            self._conversation,
            DIALECT,
            _human([message] if asks else []),
            user=self._user,
            metadata={} if asks else {"initial": True},
        )
        self._messages, self._kept = [], int(asks)

    def _end(self, message: AIMessage | None = None) -> None:
        if self._turn is not None:
            _end(self._turn, self._messages, message, self._user)
            self._turn, self._messages = None, []

    def _end_what_is_left(self, *, thoroughly: bool = False) -> None:
        left = opened.left_open(self._conversation, thoroughly=thoroughly)
        if left is not None and left.dialect == DIALECT:
            messages = [*_as_added(left.said), *(codec.decode(each) for each in left.kept)]
            _end(left.turn, messages, None, self._user)
        elif left is not None:
            left.fail()


def _end(
    turn: opened.OpenTurn, messages: Sequence[BaseMessage], message: AIMessage | None, user: Any
) -> None:
    """End a turn: with its answer, or with what came after what was said, if anything did."""
    said = _said(messages)
    between = messages[len(said) :]
    if message is None and not between:
        more = _documents(said[1:])  # The first is in the log.
        turn.fail("interrupted", answer("", DIALECT, more) if more else None)
        return
    stored = message or AIMessage("")
    if between or message is None:
        raw = {"before": _documents(between), "added": message is not None}
        kwargs = {**stored.additional_kwargs, KEY: {"name": DIALECT, "raw": raw}}
        stored = stored.model_copy(update={"additional_kwargs": kwargs})
    turn.record(_human(said), stored, _tools(between), user)


def _said(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The user's messages, with which a turn's begin."""
    return list(takewhile(lambda each: isinstance(each, HumanMessage), messages))


def _human(said: Sequence[BaseMessage]) -> HumanMessage:
    if len(said) == 1 and isinstance(said[0], HumanMessage):
        return said[0]
    return human("\n\n".join(each.text for each in said), DIALECT, _documents(said))


def _documents(messages: Sequence[BaseMessage]) -> list[Any]:
    return [codec.encode(each) for each in messages]


def _as_added(message: BaseMessage) -> list[BaseMessage]:
    raw = raw_of(message, DIALECT)
    if raw is None:
        return [message]
    if isinstance(raw, list):
        return [codec.decode(each) for each in raw]  # The user's.
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
            str(each.text),
        )
        for each in messages
        if isinstance(each, ToolMessage)
    ]
