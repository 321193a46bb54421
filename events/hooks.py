"""Lists of callbacks, which the rooms above fill in their `AppConfig.ready()`.

Imports run downwards only; calls upwards go through here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from .tables.event import Event

_Called = TypeVar("_Called")


class Callbacks(list[_Called]):
    """Functions to call. Django calls `ready()` again where a test changes INSTALLED_APPS."""

    def add(self, *called: _Called) -> None:
        """Add those that are not there yet."""
        self += [each for each in called if each not in self]


class InlineProjection(Protocol):
    """A read model that follows each batch inside the append's own transaction."""

    insert: str
    """`INSERT INTO ... SELECT ... FROM {events} e ...`, where {events} is a relation with the
    columns of turnlog_event; empty for none. Each row that the SELECT gives must be stored, unless
    there is an ON CONFLICT. PostgreSQL runs it within the statement that appends the batch, so it
    sees the log as it was before the batch."""

    def follows(self, events: Sequence[Event]) -> bool:
        """Return whether `follow` has anything to do for a batch."""

    def follow(self, events: Sequence[Event]) -> None:
        """Do the rest of the work for a batch, after `insert` has run."""


inline_projections: list[InlineProjection] = []
"""Each follows the append in its transaction: all or nothing."""

after_commit: Callbacks[Callable[[Sequence[Event]], None]] = Callbacks()
"""Called with the events of a batch of one stream, once it is committed."""

erasers: Callbacks[Callable[[int, Sequence[Event]], None]] = Callbacks()
"""Called with (stream_id, events) within an erasure's transaction, once these events' payloads are
gone. Each room above that holds copies of them removes the copies, or raises. The caller holds the
stream's lock."""

finishers: Callbacks[Callable[[Sequence[int], Collection[str]], None]] = Callbacks()
"""Called with streams, and what was put into `later`, once the last part of an erasure of many
parts is done, in a transaction that holds the streams' locks."""

later: ContextVar[set[str] | None] = ContextVar("later", default=None)
"""Within an erasure of many parts: what an eraser leaves to the finishers, because it takes as long
as the conversation is. None: there is but one part, and nothing is left."""

forgetters: Callbacks[Callable[[Any], None]] = Callbacks()
"""Called with a user within the transaction that forgets who they are: no row may name them."""
