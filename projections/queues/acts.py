"""What people do with queues of conversations to review. Each is an event in the queue's stream."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from ...core import conf, retrying
from ...core.errors import ConcurrencyError, QueueRefused
from ...core.wellformed import wellformed
from ...events import reviews
from ...events.beside import new_queue
from ...events.log import NewEvent, append
from ...events.models import Event
from ...events.store.isolation import locking
from ...events.store.sqlite import begin_writing
from ...events.tables.database import log_database
from ...events.types import (
    EventData,
    ItemsAdded,
    QueueDescribed,
    QueueFilled,
    QueueSet,
)
from . import deciding
from .deciding import MOST_REVIEWERS, Item
from .model import Queue
from .sampling import in_queue, sample
from .standing import asked_by, item_of, me, queue_at, settled, stream_of

LONGEST_NAME, LONGEST_INSTRUCTIONS, LONGEST_REASON, LONGEST_SEED = 100, 10_000, 2_000, 64
"""Characters."""

STATES = ("active", "paused", "archived")

_BATCH = 500
"""Conversations in one event."""


def open_queue(
    name: str,
    *,
    by: Any,
    instructions: str = "",
    scores: Sequence[str] | None = None,
    reviewers: int = 1,
) -> int:
    """Open a queue and return its number.

    `scores` are names of TURNLOG["SCORES"], which reviewers give; None: all of them. Each item
    needs so many `reviewers`. Raises QueueRefused.
    """
    known = conf.get().scores
    asked = list(known if scores is None else dict.fromkeys(scores))
    if unknown := [each for each in asked if each not in known]:
        raise QueueRefused(
            _("Expected scores of %(known)s, found %(name)s: no queue was opened.")
            % {"known": ", ".join(known) or "–", "name": wellformed(unknown[0])[:64]}
        )
    if not 1 <= reviewers <= MOST_REVIEWERS:
        raise QueueRefused(
            _("Expected 1 to %(most)d reviewers, found %(found)d: no queue was opened.")
            % {"most": MOST_REVIEWERS, "found": reviewers}
        )
    facts = [QueueSet("active", reviewers, asked), _described(name, instructions)]
    for _try in range(retrying.LOST_RACES):
        try:
            with transaction.atomic(using=log_database()):
                begin_writing()
                number = new_queue()
                append(stream_of(number), [NewEvent(fact, user=by) for fact in facts])
                return number
        except IntegrityError:
            continue  # Somebody else has opened this one.
    raise ConcurrencyError(0, 0, 0)


def describe(number: int, name: str, instructions: str, *, by: Any) -> Event:
    """Give a queue another name and other instructions. Raises QueueRefused, UnknownQueue."""
    data = _described(name, instructions)
    return append(stream_of(number), [NewEvent(data, user=by)])[-1]


def set_state(number: int, state: str, *, by: Any) -> None:
    """Make a queue active, paused or archived. Raises QueueRefused, UnknownQueue."""
    if state not in STATES:
        raise QueueRefused(
            _("Expected one of %(known)s, found %(state)s: nothing was done.")
            % {"known": ", ".join(STATES), "state": wellformed(state)[:40]}
        )
    stream = stream_of(number)

    def decide(queue: Queue) -> list[EventData]:
        changed = queue.state != state
        return [QueueSet(state, queue.reviewers, queue.asked)] if changed else []

    settled(stream, lambda: queue_at(stream), decide, by=by)


@dataclass(frozen=True, slots=True)
class Filled:
    """What a filling found, by which seed, and how many items came into the queue."""

    found: int
    added: int
    seed: str


def fill(
    number: int,
    query: str,
    *,
    by: Any,
    percent: float = 100,
    seed: str = "",
    of: Any = None,
    reviewer: Any = None,
) -> Filled:
    """Put the conversations that a query of the list means into a queue, or a sample of them.

    A conversation is in a queue once. Without a `seed`, one is drawn; it is on record. `of` and
    `reviewer` are those of `overview.finding`. Raises QueryError, QueueRefused, UnknownQueue.
    """
    seed = wellformed(seed.strip())[:LONGEST_SEED] or secrets.token_hex(4)
    if not 0 < percent <= 100:
        raise QueueRefused(
            _("Expected a percentage above 0 and up to 100, found %(found)s: nothing was done.")
            % {"found": percent}
        )
    stream = stream_of(number)
    # Before the lock, which those wait for who review: it may take a while.
    drawn = sample(stream, query, percent=percent, seed=seed, of=of, reviewer=reviewer)

    def gather() -> tuple[Queue, list[int]]:
        there = in_queue(stream, drawn.numbers)
        return queue_at(stream), [number for number in drawn.numbers if number not in there]

    def decide(gathered: tuple[Queue, list[int]]) -> list[EventData]:
        queue, new = gathered
        if queue.state == "archived":
            raise QueueRefused(_("This queue is archived: nothing was done."))
        batches = [new[start : start + _BATCH] for start in range(0, len(new), _BATCH)]
        filled = QueueFilled(wellformed(query), percent, seed, drawn.found)
        return [filled, *map(ItemsAdded, batches)]

    _queue, new = settled(stream, gather, decide, by=by)
    return Filled(drawn.found, len(new), seed)


def take(number: int, conversation: int, *, by: Any) -> None:
    """Take this item, or keep it for longer. Raises QueueRefused, UnknownQueue."""

    def decide(item: Item, who: uuid.UUID, ends: bool) -> list[EventData]:
        taken = deciding.take(item, who)
        return taken if ends else []

    _decide(number, conversation, by, decide)


def renew(number: int, conversation: int, *, by: Any) -> None:
    """Keep an item that a user is working on for longer; nothing happens if they are not."""

    def decide(item: Item, who: uuid.UUID, ends: bool) -> list[EventData]:
        working = who in item.taken and item.state == "open" and item.active
        return deciding.take(item, who) if working and ends else []

    _decide(number, conversation, by, decide)


def leave(number: int, conversation: int, *, by: Any) -> None:
    """Stop working on an item: others may take it at once."""
    _decide(number, conversation, by, lambda item, who, ends: deciding.leave(item, who))


def complete(
    number: int,
    conversation: int,
    scores: Mapping[str, Any],
    *,
    by: Any,
    comment: str = "",
) -> None:
    """Give an item's scores and complete it: all of this, or nothing.

    Raises QueueRefused, RemarkRefused, UnknownQueue.
    """
    _judge(number, conversation, scores, by, comment, deciding.complete)


def resolve(
    number: int,
    conversation: int,
    scores: Mapping[str, Any],
    *,
    by: Any,
    comment: str = "",
) -> None:
    """Settle what reviewers disagree about by scores of one's own. Raises the same."""
    _judge(
        number,
        conversation,
        scores,
        by,
        comment,
        lambda item, who, given: deciding.resolve(item, given),
    )


def flag(number: int, conversation: int, reason: str, *, by: Any) -> None:
    """Say why an item cannot be reviewed as it is. Raises QueueRefused, UnknownQueue."""
    reason = wellformed(reason.strip())
    if not 0 < len(reason) <= LONGEST_REASON:
        raise QueueRefused(
            _("Expected a reason of 1 to %(most)d characters, found %(found)d: nothing was done.")
            % {"most": LONGEST_REASON, "found": len(reason)}
        )
    _decide(number, conversation, by, lambda item, who, ends: deciding.flag(item, reason))


def put_back(number: int, conversation: int, *, by: Any) -> None:
    """Let a flagged item be reviewed all the same. Raises QueueRefused, UnknownQueue."""
    _decide(number, conversation, by, lambda item, who, ends: deciding.put_back(item))


def _judge(
    number: int,
    conversation: int,
    scores: Mapping[str, Any],
    by: Any,
    comment: str,
    decide: Callable[[Item, uuid.UUID, Mapping[str, Any]], list[EventData]],
) -> None:
    asked = asked_by(queue_at(stream_of(number)))
    given = {name: scores[name] for name in asked if name in scores}
    with locking(log_database()):
        begin_writing()
        # An erasure locks what was written about a conversation before the queues, too.
        for name, value in given.items():
            reviews.give_score(conversation, name, value, by=by, comment=comment)
        _decide(number, conversation, by, lambda item, who, ends: decide(item, who, given))


def _decide(
    number: int,
    conversation: int,
    by: Any,
    decide: Callable[[Item, uuid.UUID, bool], list[EventData]],
) -> None:
    stream = stream_of(number)

    def gather() -> tuple[Item, uuid.UUID, bool]:
        who = me(by)
        item, ends = item_of(stream, conversation, who)
        return item, who, ends

    settled(stream, gather, lambda gathered: decide(*gathered), by=by)


def _described(name: str, instructions: str) -> QueueDescribed:
    plain = " ".join(wellformed(name).split())
    if not 0 < len(plain) <= LONGEST_NAME:
        raise QueueRefused(
            _("Expected a name of 1 to %(most)d characters, found %(found)d.")
            % {"most": LONGEST_NAME, "found": len(plain)}
        )
    if len(instructions) > LONGEST_INSTRUCTIONS:
        raise QueueRefused(
            _("Expected at most %(most)d characters, found %(found)d.")
            % {"most": LONGEST_INSTRUCTIONS, "found": len(instructions)}
        )
    return QueueDescribed(plain, wellformed(instructions.strip()))
