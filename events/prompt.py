"""What the model of a turn will see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from ..core.errors import ArgumentError, TurnlogError
from ..core.wellformed import wellformed, wellformed_value
from .types import Document, TurnStarted


class StalePrompt(TurnlogError):
    """The conversation continued after the model's messages were read, before the turn started."""

    def __init__(self, stream_id: int, read_at: int, actual: int) -> None:
        super().__init__(
            f"conversation {stream_id}: the previous messages were read at version {read_at}, but"
            f" the stream is at version {actual}; read them again and start the turn again"
        )
        self.stream_id = stream_id
        self.read_at = read_at
        self.actual = actual


@dataclass(frozen=True, slots=True)
class Prompt:
    """Model name, parameters, system prompt and tool schemas (JSON objects) of one turn.

    `previous` becomes `TurnStarted.previous`, which describes the messages before the human's.
    `read_at` is the stream's version at which they were read (0: it had no events). If it is given
    and the stream is at another version, the turn is refused with StalePrompt.
    """

    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    system_prompt: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    previous: Mapping[str, Any] | None = None
    read_at: int | None = None

    def started(self, message: Document) -> tuple[TurnStarted, dict[str, str]]:
        """Return a turn's start with this prompt, and the long texts it refers to by digest.

        Raises ArgumentError if `previous` describes no messages.
        """
        if self.previous is not None and not describes_messages(self.previous):
            raise ArgumentError("prompt.previous", _DESCRIPTION, self.previous)
        named = {}
        if self.system_prompt:
            # PostgreSQL's text has no NUL, and SQLite's log shall hold the same.
            named["system_prompt"] = wellformed(self.system_prompt).replace("\0", "\ufffd")
        if self.tools:
            tools = wellformed_value(list(self.tools))
            named["tools"] = json.dumps(tools, ensure_ascii=False, sort_keys=True)
        keys = {name: sha256(text.encode()).hexdigest() for name, text in named.items()}
        data = TurnStarted(
            message,
            model=None if self.model is None else wellformed(self.model),
            parameters=wellformed_value(dict(self.parameters)),
            previous=self.previous,
            **keys,
        )
        return data, {keys[name]: text for name, text in named.items()}

    def after_branch(self, version: int) -> Prompt:
        """Return this prompt for a turn in a branch that was chosen at a version.

        Its previous messages are those of the list at that version, if they all came before.
        """
        until = (self.previous or {}).get("until", version)
        if self.previous is None or "at" in self.previous or not 0 < until < version:
            return self
        return replace(self, previous={**self.previous, "at": version})

    def require_fresh(self, stream_id: int, version: int) -> None:
        """Raise StalePrompt if the previous messages were read at another version."""
        if self.read_at is not None and self.read_at != version:
            raise StalePrompt(stream_id, self.read_at, version)


_DESCRIPTION = (
    "a HistoryRule's description, or {'messages': [...]} with each message's document or the"
    " version of its entry"
)


def describes_messages(previous: Any) -> bool:
    """Return whether a value has one of the two forms of `TurnStarted.previous`."""
    if not isinstance(previous, Mapping):
        return False
    if previous.keys() == {"messages"}:
        items = previous["messages"]
        return isinstance(items, list | tuple) and all(
            type(item) is int or isinstance(item, Mapping) for item in items
        )
    kinds = {"tools": bool, "since": int, "until": int}
    if "summary" in previous:
        kinds["summary"] = int
    if "at" in previous:
        kinds["at"] = int
    return previous.keys() == kinds.keys() and all(
        type(previous[name]) is kind for name, kind in kinds.items()
    )
