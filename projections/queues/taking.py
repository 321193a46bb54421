"""The next item of a queue, for somebody who reviews."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from ...core.errors import QueueRefused
from ...events.models import Conversation, Event
from ...events.tables.database import log_database
from ...events.types import NEVER_ERASED, EventData
from . import deciding
from .deciding import Item
from .model import Queue, QueueItem, QueueMark
from .standing import item_of, me, queue_at, settled, stream_of

_PAGE, _EXAMINED = 50, 200
"""Items that are read at a time, and those that one request looks at."""

Seen = Callable[[Conversation], bool]


@dataclass(frozen=True, slots=True)
class Taken:
    """The conversation that somebody has taken, None if there is none for them; and how many items
    before it they may not see, or have nothing left to review.

    One request looks at some items only: `further` is the place behind which there may be more.
    """

    conversation: int | None
    skipped: int = 0
    further: int | None = None


@dataclass(slots=True)
class _Gathered:
    """What was found: an item that can be taken, or must be taken again because the lock `ends`;
    and what was passed over before it."""

    queue: Queue
    who: uuid.UUID
    item: Item | None = None
    ends: bool = True
    gone: list[int] = field(default_factory=list)
    unseen: int = 0
    further: int | None = None

    @property
    def skipped(self) -> int:
        return len(self.gone) + self.unseen


def take_next(number: int, *, by: Any, may_see: Seen, after: int | None = None) -> Taken:
    """Take the next item that a user may review, behind the place `after`, or else from the start.

    Without `after`, whoever works on an item gets that one. What is erased leaves the queue, and
    what `may_see` denies is passed over. Raises QueueRefused, UnknownQueue.
    """
    stream = stream_of(number)
    done = settled(stream, lambda: _gathered(stream, by, may_see, after), _taken, by=by)
    chosen = None if done.item is None else done.item.conversation
    return Taken(chosen, done.skipped, done.further)


def _taken(gathered: _Gathered) -> list[EventData]:
    if gathered.queue.state != "active":
        raise QueueRefused(_("This queue is paused or archived: nothing was done."))
    facts = [deciding.drop(conversation) for conversation in gathered.gone]
    if gathered.item is not None and gathered.ends:
        facts += deciding.take(gathered.item, gathered.who)
    return facts


def _gathered(stream: int, by: Any, may_see: Seen, after: int | None) -> _Gathered:
    gathered = _Gathered(queue_at(stream), me(by))
    now = timezone.now()
    if after is None and (mine := _claimed(stream, gathered.who, now)) is not None:
        held = _Gathered(gathered.queue, gathered.who)
        _choose(held, [mine], may_see)
        if held.item is not None:
            return held
    for page in _pages(free_for(gathered.queue, gathered.who, now), after):
        _choose(gathered, page, may_see)
        if gathered.item is not None:
            break
        if gathered.skipped >= _EXAMINED:
            gathered.further = page[-1].place
            break
    return gathered


def _claimed(stream: int, who: uuid.UUID, now: dt.datetime) -> QueueItem | None:
    claims = QueueMark.objects.using(log_database()).filter(
        stream_id=stream, kind="claim", actor_id=who, until__gt=now
    )
    items = QueueItem.objects.using(log_database()).filter(stream_id=stream, state="open")
    return items.filter(conversation__in=claims.values("conversation")).first()


def free_for(queue: Queue, who: uuid.UUID, now: dt.datetime) -> QuerySet[QueueItem]:
    """Return the items of a queue that somebody can take."""
    marks = QueueMark.objects.filter(stream_id=queue.stream_id).order_by()
    # Not by EXISTS: a database that has no statistics yet might look through all of them each time.
    mine = marks.filter(kind="done", actor_id=who).values("conversation")
    others = marks.filter(kind="claim", until__gt=now, conversation=OuterRef("conversation"))
    counted = others.exclude(actor_id=who).values("conversation").annotate(n=Count("pk"))
    return (
        QueueItem.objects.using(log_database())
        .filter(stream_id=queue.stream_id, state="open")
        .exclude(conversation__in=mine)
        .annotate(busy=Coalesce(Subquery(counted.values("n")), 0))
        .filter(done__lt=Value(queue.reviewers) - F("busy"))
        .order_by("place")
    )


def _pages(items: QuerySet[QueueItem], after: int | None) -> Iterator[list[QueueItem]]:
    """Yield the items behind a place, and then those up to it."""
    parts = [items] if after is None else [items.filter(place__gt=after)]
    if after is not None:
        parts.append(items.filter(place__lte=after))
    for part in parts:
        last = 0
        while page := list(part.filter(place__gt=last)[:_PAGE]):
            yield page
            last = page[-1].place
            if len(page) < _PAGE:
                break


def _choose(gathered: _Gathered, items: list[QueueItem], may_see: Seen) -> None:
    """Choose the first of some items that can be reviewed; note those before it that cannot."""
    events = Event.objects.filter(stream_id=OuterRef("pk"))
    left = events.filter(payload__isnull=False).exclude(type__in=NEVER_ERASED)
    erased = Q(Exists(events.filter(type="PayloadErased")) & ~Exists(left))
    numbers = [item.conversation_id for item in items]
    rooms = {
        room.pk: room
        for room in Conversation.objects.using(log_database())
        .filter(pk__in=numbers)
        .annotate(erased=erased)
        .select_related("user")
    }
    for item in items:
        room: Any = rooms.get(item.conversation_id)
        if room is None or room.erased:
            gathered.gone.append(item.conversation_id)
        elif not may_see(room):
            gathered.unseen += 1
        else:
            stream = item.stream_id
            gathered.item, gathered.ends = item_of(stream, item.conversation_id, gathered.who)
            return
