"""A session of OpenAI's Agents SDK, as turns of the log."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from ...core.asynchronous import in_database_thread
from ...core.errors import ArgumentError, CodecError
from ...events.models import Conversation
from . import opened
from .dialects import answer, entries, human, raw_of, require_conversation, tool_output

DIALECT = "openai-agents"

Item = Any
"""What the SDK calls a TResponseInputItem: a dictionary."""


class TurnlogSession:
    """A session (`Runner.run(..., session=...)`) whose items are turns of a conversation's log.

    A user's message begins a turn, and is committed at once. A batch of items that ends with an
    assistant's message ends it. What comes in between is a draft until then. If the session is
    dropped before, as it is when a run raises or ends on a tool's output, the conversation's next
    session ends the turn: with these items, or as `interrupted` if there are none.

    Raises ArgumentError for anything but a Conversation, and what `start_turn` and `record_turn`
    raise: TurnInProgress, for one, while another session of the conversation is in a run.
    """

    session_settings: Any = None

    def __init__(self, conversation: Conversation, user: Any = None) -> None:
        self._conversation = require_conversation(conversation)
        self.session_id = str(conversation.pk)
        self._user = user
        self._turn: opened.OpenTurn | None = None
        # The open turn's: first what began it. So many of them are in the log, and in drafts too.
        self._items: list[Item] = []
        self._begun = self._kept = 0
        self._one_at_a_time = asyncio.Lock()

    async def get_items(self, limit: int | None = None) -> list[Item]:
        """Return the items, or the last `limit` of them, in order."""
        async with self._one_at_a_time:
            items = await in_database_thread(self._recorded)() + self._items
        return items if limit is None else items[max(0, len(items) - limit) :]

    async def add_items(self, items: list[Item]) -> None:
        """Append items."""
        async with self._one_at_a_time:
            if any(not isinstance(item, Mapping) for item in items):
                raise ArgumentError("items", "dictionaries", items)
            ends = bool(items) and items[-1].get("role") == "assistant"
            await in_database_thread(self._add)(deque(items), ends)

    async def pop_item(self) -> Item | None:
        """Take the last item out of the session and return it; None if there is none.

        The log keeps it. An item of a turn that has ended makes a branch without it: the turn
        begins again, and is open until more is added.
        """
        async with self._one_at_a_time:
            return await in_database_thread(self._pop)()

    async def clear_session(self) -> None:
        """Empty the session. The log keeps everything."""
        async with self._one_at_a_time:
            await in_database_thread(self._clear)()

    def _clear(self) -> None:
        if self._turn is not None:
            after = self._items[len(_asked(self._items)[:1]) :]  # The first is in the log.
            produced = answer(_text_of(after), DIALECT, after) if after else None
            self._turn.fail("cancelled", produced, _tools(after))
            self._turn, self._items = None, []
        self._conversation.clear(by=self._user)

    def _recorded(self) -> list[Item]:
        if self._turn is None:
            self._end_what_is_left()
        found: list[Item] = []
        for entry in entries(self._conversation, self._user):
            found += _items_of(entry.message)
        return found

    def _add(self, items: deque[Item], ends: bool) -> None:
        """Add items, and take them from the queue: it may be called again if a lock is not free."""
        try:
            while items:
                self._append(items[0])
                items.popleft()
            if ends:
                self._end()
            else:
                self._keep()
        except CodecError:
            del self._items[self._kept :]  # They would be in the way of all that follows.
            if not self._items:
                self._end()
            raise

    def _append(self, item: Item) -> None:
        if self._turn is None or (_is_users(item) and not _is_users(self._items[-1])):
            self._end()
            self._begin([item])
        else:
            self._items.append(item)

    def _begin(self, items: list[Item], instead_of: uuid.UUID | None = None) -> None:
        self._end_what_is_left()
        initial = {} if _is_users(items[0]) else {"initial": True}
        branch: dict[str, Any] = {} if instead_of is None else {"instead_of": instead_of}
        self._turn = opened.begin(
            self._conversation,
            DIALECT,
            _human(items),
            user=self._user,
            metadata=initial,
            **branch,
        )
        self._items = items
        self._begun = self._kept = len(_asked(items))

    def _keep(self) -> None:
        if self._turn is not None and self._kept < len(self._items):
            self._turn.keep(self._kept, self._items[self._kept :])
            self._kept = len(self._items)

    def _end(self) -> None:
        if self._turn is not None:
            _end(self._turn, self._items, self._user)
            self._turn, self._items = None, []

    def _end_what_is_left(self) -> None:
        # Thoroughly also to read: a run asks once, for what its model is given.
        left = opened.left_open(self._conversation, thoroughly=True)
        if left is not None and left.dialect == DIALECT:
            _end(left.turn, [*_items_of(left.said), *left.kept], self._user)
        elif left is not None:
            left.fail()

    def _pop(self) -> Item | None:
        if self._turn is None:
            self._reopen()
        if self._turn is None:
            return None
        *rest, item = self._items
        if rest:
            self._turn.forget()
            self._kept = min(self._begun, len(rest))
            if self._kept < len(rest):
                self._turn.keep(self._kept, rest[self._kept :])
        else:
            self._turn.fail("cancelled")
            self._turn = None
        self._items, self._kept = rest, len(rest)
        return item

    def _reopen(self) -> None:
        """Begin the last turn again, in a branch of its own, if there is one."""
        self._end_what_is_left()
        listed = list(entries(self._conversation, self._user))
        if not listed:
            return
        turn_id = listed[-1].turn_id
        messages = [each.message for each in listed if each.turn_id == turn_id]
        items = [item for each in messages for item in _items_of(each)]
        self._begin(items[:-1] or items, instead_of=turn_id)  # The last one is taken out.
        self._items = items


def _items_of(message: Any) -> list[Item]:
    raw = raw_of(message, DIALECT)
    if raw is not None:
        return list(raw)
    if isinstance(message, HumanMessage | AIMessage):
        role = "user" if isinstance(message, HumanMessage) else "assistant"
        return [{"role": role, "content": message.text}]
    return []


def _end(turn: opened.OpenTurn, items: Sequence[Item], user: Any) -> None:
    """End a turn: with what came after what was asked, if anything did."""
    asked = _asked(items)
    after = list(items[len(asked) :])
    if after:
        turn.record(_human(items), answer(_text_of(after), DIALECT, after), _tools(after), user)
    else:
        more = asked[1:]  # The first is in the log.
        turn.fail("interrupted", answer("", DIALECT, more) if more else None)


def _is_users(item: Item) -> bool:
    return bool(item.get("role") == "user")


def _asked(items: Sequence[Item]) -> list[Item]:
    """The user's messages, with which a turn's items begin."""
    return list(takewhile(_is_users, items))


def _human(items: Sequence[Item]) -> HumanMessage:
    asked = _asked(items)
    return human("\n\n".join(map(_content, asked)), DIALECT, asked)


def _text_of(items: Iterable[Item]) -> str:
    said = [_content(item) for item in items if item.get("role") == "assistant"]
    return "\n\n".join(filter(None, said))


def _content(item: Item) -> str:
    """A message's words; a part that is no text is named by its type."""
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = [part for part in content or () if isinstance(part, Mapping)]
    return "\n".join(str(part.get("text") or f"[{part.get('type')}]") for part in parts)


def _tools(items: Sequence[Item]) -> list[dict[str, Any]]:
    calls = {item.get("call_id"): item for item in items if item.get("type") == "function_call"}
    made: list[dict[str, Any]] = []
    for item in items:
        if item.get("type") == "function_call_output":
            call = calls.get(item.get("call_id"), {})
            output = item.get("output")
            shown = output if isinstance(output, str) else json.dumps(output)
            name, given = str(call.get("name", "")), call.get("arguments")
            made.append(tool_output(name, str(item.get("call_id")), given, shown))
    return made
