"""What may become of an item of a queue: pure functions of how the item stands.

They raise QueueRefused, or return what happens.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from ...core.errors import QueueRefused
from ...events.types import EventData, ItemJudged, ItemMoved

LOCK_SECONDS = 900
"""Who takes an item has it for this long, and longer while they work on it."""

MOST_REVIEWERS = 10

Scores = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """How an item of a queue stands.

    `asked` are the scores to give. `given` has those of who has completed the item, and `taken` who
    is working on it; each is an actor's id.
    """

    conversation: int
    active: bool
    state: str
    reviewers: int
    asked: Sequence[str] = ()
    given: Mapping[uuid.UUID, Scores] = field(default_factory=dict)
    taken: Collection[uuid.UUID] = ()


def take(item: Item, me: uuid.UUID) -> list[EventData]:
    """Somebody begins to work on an item, or continues."""
    _require_free(item, me)
    return [ItemMoved(item.conversation, "taken", item.state, LOCK_SECONDS)]


def leave(item: Item, me: uuid.UUID) -> list[EventData]:
    """Somebody who works on an item stops; nothing happens if they do not."""
    return [ItemMoved(item.conversation, "left", item.state)] if me in item.taken else []


def complete(item: Item, me: uuid.UUID, scores: Scores) -> list[EventData]:
    """Somebody has reviewed an item. With the last one, it is completed if all agree."""
    _require_free(item, me)
    _require_scores(item, scores)
    given = [*item.given.values(), scores]
    if len(given) < item.reviewers:
        state = "open"
    else:
        state = "completed" if agree(given, item.asked) else "awaiting"
    return [
        ItemMoved(item.conversation, "completed", state),
        ItemJudged(item.conversation, dict(scores)),
    ]


def resolve(item: Item, scores: Scores) -> list[EventData]:
    """Somebody settles what reviewers disagree about, or what they have flagged."""
    _require_active(item)
    if item.state not in ("awaiting", "flagged"):
        raise QueueRefused(_("Nobody has to resolve this item: nothing was done."))
    _require_scores(item, scores)
    return [
        ItemMoved(item.conversation, "resolved", "completed"),
        ItemJudged(item.conversation, dict(scores)),
    ]


def flag(item: Item, reason: str) -> list[EventData]:
    """Somebody says why an item cannot be reviewed as it is. Each flag stays on record."""
    _require_active(item)
    if item.state not in ("open", "awaiting", "flagged"):
        raise QueueRefused(_("This item is done: it is not flagged any more."))
    return [
        ItemMoved(item.conversation, "flagged", "flagged"),
        ItemJudged(item.conversation, reason=reason),
    ]


def put_back(item: Item) -> list[EventData]:
    """A flagged item is reviewed all the same."""
    _require_active(item)
    if item.state != "flagged":
        raise QueueRefused(_("This item is not flagged: nothing was done."))
    state = "open" if len(item.given) < item.reviewers else "awaiting"
    return [ItemMoved(item.conversation, "returned", state)]


def drop(conversation: int) -> EventData:
    """Nothing of the conversation is left to review."""
    return ItemMoved(conversation, "gone", "gone")


def agree(given: Sequence[Scores], asked: Sequence[str]) -> bool:
    """Return whether all have given the same scores; "cannot judge" is one of its own."""
    # Not by ==: True is 1 in Python.
    return all(len({_plain(scores.get(name)) for scores in given}) == 1 for name in asked)


def _plain(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{float(value)}" if number else repr(value)


def _require_active(item: Item) -> None:
    if not item.active:
        raise QueueRefused(_("This queue is paused or archived: nothing was done."))


def _require_free(item: Item, me: uuid.UUID) -> None:
    _require_active(item)
    if me in item.given:
        raise QueueRefused(_("You have reviewed this item already: nothing was done."))
    if item.state != "open":
        raise QueueRefused(_("This item is not open any more: nothing was done."))
    others = [who for who in item.taken if who != me]
    if len(item.given) + len(others) >= item.reviewers:
        raise QueueRefused(_("Others are reviewing this item: nothing was done. Take another one."))


def _require_scores(item: Item, scores: Scores) -> None:
    if missing := [name for name in item.asked if name not in scores]:
        raise QueueRefused(
            _("Expected a score for each of %(names)s, found none: nothing was done.")
            % {"names": ", ".join(missing)}
        )
