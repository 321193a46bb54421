"""A session of OpenAI's Agents SDK, as turns of the log."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from ...core.asynchronous import in_database_thread
from ...core.errors import ArgumentError
from ...events.models import Conversation
from .dialects import answer, entries, human, raw_of, require_conversation, tool_output

DIALECT = "openai-agents"

Item = Any
"""What the SDK calls a TResponseInputItem: a dictionary."""


class TurnlogSession:
    """A session (`Runner.run(..., session=...)`) whose items are turns of a conversation's log.

    A user's message begins a turn, and is committed at once. A batch of items that ends with an
    assistant's message ends it. What comes in between waits in this object until then.

    Raises ArgumentError for anything but a Conversation, and what `start_turn` and `record_turn`
    raise: TurnInProgress, for one, while another session of the conversation is in a run.
    """

    session_settings: Any = None

    def __init__(self, conversation: Conversation, user: Any = None) -> None:
        self._conversation = require_conversation(conversation)
        self.session_id = str(conversation.pk)
        self._user = user
        self._turn_id: uuid.UUID | None = None
        # The open turn's: first what began it.
        self._items: list[Item] = []
        self._one_at_a_time = asyncio.Lock()

    async def get_items(self, limit: int | None = None) -> list[Item]:
        """Return the items, or the last `limit` of them, in order."""
        async with self._one_at_a_time:
            items = await in_database_thread(self._recorded)() + self._items
        return items if limit is None else items[max(0, len(items) - limit) :]

    async def add_items(self, items: list[Item]) -> None:
        """Append items."""
        async with self._one_at_a_time:
            await in_database_thread(self._add)(items)

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
            self._turn_id, self._items = None, []
            await self._conversation.aclear(by=self._user)

    def _recorded(self) -> list[Item]:
        found: list[Item] = []
        for entry in entries(self._conversation, self._user):
            found += _items_of(entry.message)
        return found

    def _add(self, items: Sequence[Item]) -> None:
        if any(not isinstance(item, Mapping) for item in items):
            raise ArgumentError("items", "dictionaries", items)
        for item in items:
            if item.get("role") == "user":
                self._end()
                self._begin([item])
            elif self._turn_id is None:
                self._begin([item])  # Nobody has asked.
            else:
                self._items.append(item)
        if items and items[-1].get("role") == "assistant":
            self._end()

    def _begin(self, items: list[Item], instead_of: uuid.UUID | None = None) -> None:
        initial = {} if items[0].get("role") == "user" else {"initial": True}
        branch: dict[str, Any] = {} if instead_of is None else {"instead_of": instead_of}
        turn = self._conversation.start_turn(
            _human(items), user=self._user, metadata=initial, **branch
        )
        self._turn_id, self._items = turn.turn_id, items

    def _end(self) -> None:
        """End the open turn, if there is one: with what came after its first item, if anything."""
        if self._turn_id is None:
            return
        asked = self._items[0].get("role") == "user"
        after = self._items[1:] if asked else self._items
        if after:
            self._conversation.record_turn(
                _human(self._items),
                answer(_text_of(after), DIALECT, after),
                list(_tools(after)) or None,
                user=self._user,
                turn_id=self._turn_id,
            )
        else:
            self._conversation.fail_turn(self._turn_id, "interrupted")
        self._turn_id, self._items = None, []

    def _pop(self) -> Item | None:
        if self._turn_id is None and not self._reopen():
            return None
        item = self._items.pop()
        if not self._items and self._turn_id is not None:
            self._conversation.fail_turn(self._turn_id, "cancelled")
            self._turn_id = None
        return item

    def _reopen(self) -> bool:
        """Begin the last turn again, in a branch of its own; return whether there is one."""
        listed = list(entries(self._conversation, self._user))
        if not listed:
            return False
        turn_id = listed[-1].turn_id
        messages = [each.message for each in listed if each.turn_id == turn_id]
        self._begin([item for each in messages for item in _items_of(each)], instead_of=turn_id)
        return True


def _items_of(message: Any) -> list[Item]:
    raw = raw_of(message, DIALECT)
    if raw is not None:
        return list(raw)
    if isinstance(message, HumanMessage | AIMessage):
        role = "user" if isinstance(message, HumanMessage) else "assistant"
        return [{"role": role, "content": message.text}]
    return []


def _human(items: Sequence[Item]) -> HumanMessage:
    first = items[0]
    if first.get("role") == "user":
        return human(_content(first), DIALECT, [first])
    return human("", DIALECT, [])


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


def _tools(items: Sequence[Item]) -> Iterable[dict[str, Any]]:
    calls = {item.get("call_id"): item for item in items if item.get("type") == "function_call"}
    for item in items:
        if item.get("type") == "function_call_output":
            call = calls.get(item.get("call_id"), {})
            output = item.get("output")
            shown = output if isinstance(output, str) else json.dumps(output)
            name, given = str(call.get("name", "")), call.get("arguments")
            yield tool_output(name, str(item.get("call_id")), given, shown)
