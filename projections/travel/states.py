"""A conversation's state at a moment, and the difference between two states."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, overload

from ...events.changes import owner_at, title_at
from ...events.listed import Listed
from ...events.models import Actor, Event
from ...events.tables.database import log_database
from ..messages.documents import stored_message
from .erased_entries import ErasedEntry, erased_entries
from .prompts import ModelInput, prompt_of


class Entries(Sequence[Listed]):
    """The first `count` entries of a list that may grow but never changes otherwise.

    So the states of a replay share one list, and each state stays as it was.
    """

    __slots__ = ("_count", "_listed")

    def __init__(self, listed: Sequence[Listed] = (), count: int | None = None) -> None:
        self._listed = listed
        self._count = len(listed) if count is None else count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Listed: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Listed]: ...

    def __getitem__(self, index: int | slice) -> Listed | Sequence[Listed]:
        if isinstance(index, slice):
            return [self._listed[place] for place in range(*index.indices(self._count))]
        return self._listed[range(self._count)[index]]

    def __iter__(self) -> Iterator[Listed]:
        return islice(self._listed, self._count)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entries | list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(
            ours == theirs for ours, theirs in zip(self, other, strict=True)
        )

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(list(self))


@dataclass(frozen=True, slots=True)
class ConversationState:
    """A conversation's message list at `version`, recorded at `at` (UTC).

    `event` is the event that led to it; comparisons ignore it.
    """

    conversation_id: int
    version: int
    at: dt.datetime
    entries: Sequence[Listed]
    event: Event = field(compare=False, repr=False)
    actors: frozenset[uuid.UUID | None] | None = field(default=None, compare=False, repr=False)
    """The actors whose entries these are; None for all actors."""

    @property
    def messages(self) -> list[Any]:
        """`SystemMessage | HumanMessage | AIMessage | AddableDict`, decoded each time."""
        return [stored_message(entry.content) for entry in self.entries]

    def of(self, user: Any) -> ConversationState:
        """Return the state as one user saw it: only their turns; for None or a guest, guests'."""
        if user is None or not user.is_authenticated:
            actors: frozenset[uuid.UUID | None] = frozenset({None})
        else:
            # Looked up, not created: a user without turns has no actor.
            mine = Actor.objects.using(log_database()).filter(user_id=user.pk)
            actors = frozenset(mine.values_list("id", flat=True))
        mine = [entry for entry in self.entries if entry.actor_id in actors]
        return replace(self, entries=Entries(mine), actors=actors)

    @property
    def title(self) -> str:
        """The conversation's title at this moment; empty if it is erased today. Looked up."""
        return title_at(self.conversation_id, self.version)

    @property
    def owner(self) -> uuid.UUID | None:
        """The owner's actor id at this moment; None if nobody owned it, or if it is erased today.
        Looked up."""
        return owner_at(self.conversation_id, self.version)

    @property
    def erased(self) -> list[ErasedEntry]:
        """The entries of this state that are erased today; looked up each time."""
        entries = erased_entries(self.conversation_id, self.version)
        if self.actors is None:
            return entries
        return [entry for entry in entries if entry.actor_id in self.actors]

    def prompt(self, call: int | None = None) -> ModelInput:
        """Return what the model was given at this moment; see `prompts.prompt_of`."""
        return prompt_of(self.conversation_id, self.version, call)


@dataclass(frozen=True, slots=True)
class Difference:
    """From the state `before` to the state `after`; entries are compared by their versions."""

    before: ConversationState
    after: ConversationState
    added: Sequence[Listed]
    removed: Sequence[Listed]


def difference(before: ConversationState, after: ConversationState) -> Difference:
    """Return what was added and removed between two states of one conversation, by version."""
    return Difference(before, after, _missing(after, before), _missing(before, after))


def _missing(here: ConversationState, there: ConversationState) -> Entries:
    known = {entry.version for entry in there.entries}
    return Entries([entry for entry in here.entries if entry.version not in known])
