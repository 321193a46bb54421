"""The projections of queues: the queues, their items, and what people did with these."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence

from django.db.models import F, Max

from ...core.errors import NotStored
from ...events.beside import queues_in
from ...events.models import Event
from ...events.tables.conversation import rows as conversations
from ...events.types import (
    ItemJudged,
    ItemMoved,
    ItemsAdded,
    QueueDescribed,
    QueueFilled,
    QueueSet,
)
from ..engine.projection import Projection
from ..engine.registry import register
from ..engine.storable import storable
from .model import Queue, QueueItem, QueueMark

_FILLS = 20
"""Fillings that a queue's row keeps: the latest ones."""

_KINDS = {"completed": "done", "resolved": "resolved", "flagged": "flag"}
"""Kinds of marks that stay, by what was done."""


def _of_queues(events: Sequence[Event]) -> Iterator[tuple[Event, int]]:
    """Yield those of the events that are of a queue's stream, each with the queue's number."""
    numbers = queues_in({event.stream_id for event in events})
    for event in events:
        if (number := numbers.get(event.stream_id)) is not None:
            yield event, number


@register
class QueuesProjection(Projection):
    """Makes `Queue`, inline."""

    name = "queues"
    handles = ("QueueSet", "QueueDescribed", "QueueFilled")
    inline = True
    model = Queue
    conversation_field = "stream_id"

    def apply(self, events: Sequence[Event]) -> None:
        for event, number in _of_queues(events):
            self._apply(event, number)

    def _apply(self, event: Event, number: int) -> None:
        row = self.of_streams([event.stream_id]).first()
        if row is None:
            row = Queue(stream_id=event.stream_id, number=number, opened_at=event.recorded_at)
            row.state, row.reviewers = "paused", 1
        match event.data:
            case QueueSet(state=state, reviewers=reviewers, scores=scores):
                row.state, row.reviewers = storable(state)[:8], reviewers
                row.scores = json.dumps([storable(str(name)) for name in scores])
            case QueueDescribed(name=name, instructions=instructions):
                row.name, row.instructions = storable(name)[:100], storable(instructions)
            case QueueFilled(query=query, percent=percent, seed=seed, found=found):
                fill = {"query": storable(query), "percent": percent, "seed": storable(seed)}
                fill |= {"found": found, "at": event.recorded_at.isoformat()}
                row.fills = json.dumps([*json.loads(row.fills), fill][-_FILLS:])
        row.save(using=self.of_streams([]).db)

    def erase(self, events: Sequence[Event]) -> None:
        """Make the row again: what an erased description had replaced holds again."""
        if any(event.type in self.handles for event in events):
            self.apply_again(events)


@register
class QueueItemsProjection(Projection):
    """Makes `QueueItem`, inline: what people decide is based on these rows."""

    name = "queue_items"
    handles = ("ItemsAdded", "ItemMoved")
    inline = True
    model = QueueItem
    conversation_field = "stream_id"

    def apply(self, events: Sequence[Event]) -> None:
        for event, _number in _of_queues(events):
            match event.data:
                case ItemsAdded(conversations=numbers):
                    self._add(event.stream_id, numbers)
                case ItemMoved(conversation=number, what=what, state=state):
                    item = self.of_streams([event.stream_id]).filter(conversation=number)
                    more = 1 if what == "completed" else 0
                    item.update(state=storable(state)[:9], done=F("done") + more)

    def _add(self, stream: int, numbers: Sequence[int]) -> None:
        items = self.of_streams([stream])
        there = set(
            items.filter(conversation__in=numbers).values_list("conversation_id", flat=True)
        )
        known = conversations().filter(pk__in=numbers, beside=None).values_list("pk", flat=True)
        new = [number for number in dict.fromkeys(numbers) if number in {*known} - there]
        last = items.aggregate(last=Max("place"))["last"] or 0
        self.add(
            [
                QueueItem(stream_id=stream, place=last + place, conversation_id=number)
                for place, number in enumerate(new, start=1)
            ]
        )

    def erase(self, events: Sequence[Event]) -> None:
        """Nothing: the rows hold no words."""


@register
class QueueMarksProjection(Projection):
    """Makes `QueueMark`, inline."""

    name = "queue_marks"
    handles = ("ItemMoved", "ItemJudged")
    inline = True
    model = QueueMark
    conversation_field = "stream_id"

    def apply(self, events: Sequence[Event]) -> None:
        for event, _number in _of_queues(events):
            match event.data:
                case ItemMoved() as moved:
                    self._move(event, moved)
                case ItemJudged(scores=scores, reason=reason):
                    mark = self.of_streams([event.stream_id]).filter(version=event.version - 1)
                    mark.update(
                        words=event.version,
                        scores=storable(json.dumps(scores)),
                        reason=storable(reason),
                    )

    def _move(self, event: Event, moved: ItemMoved) -> None:
        marks = self.of_streams([event.stream_id])
        claims = marks.filter(kind="claim")
        mark = QueueMark(
            stream_id=event.stream_id,
            version=event.version,
            conversation_id=moved.conversation,
            actor_id=event.actor_id,
            at=event.recorded_at,
        )
        if moved.what == "taken":
            # Everybody works on one item of a queue at a time.
            claims.filter(actor_id=event.actor_id).delete()
            mark.kind = "claim"
            mark.until = event.recorded_at + dt.timedelta(seconds=moved.seconds)
        else:
            mine = claims.filter(conversation=moved.conversation)
            if moved.state == "open":
                mine = mine.filter(actor_id=event.actor_id)
            mine.delete()
            mark.kind = _KINDS.get(moved.what, "")
        if mark.kind and conversations().filter(pk=moved.conversation).exists():
            self.add([mark])

    def erase(self, events: Sequence[Event]) -> None:
        """Remove scores and reasons; that somebody completed or flagged an item stays."""
        for event in events:
            words = self.of_streams([event.stream_id]).filter(words=event.version)
            words.update(words=None, scores="{}", reason="")
            if words.exists():
                what = "expected no words of an erased event, found some"
                raise NotStored(QueueMark._meta.db_table, what)
