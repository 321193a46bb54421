"""What the tests of queues have in common."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from langchain_core.messages import AIMessage

from turnlog.events.models import Conversation
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Queue
from turnlog.projections.queues import acts, listing
from turnlog.projections.queues.taking import Taken, take_next

SCORES = {"tone": ["calm", "rude"], "quality": [1, 5]}
CALM, RUDE = {"tone": "calm", "quality": 3}, {"tone": "rude", "quality": 3}


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self, monkeypatch: Any) -> None:
        self.now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: self.now)

    def go(self, **span: float) -> None:
        self.now += dt.timedelta(**span)


def people(*names: str) -> list[Any]:
    return [User.objects.create_user(name) for name in names]


def rooms(count: int, owner: Any) -> list[Conversation]:
    made = []
    for number in range(count):
        room = Conversation.objects.create(user=owner, title=f"Room {number}")
        room.record_turn(f"cup {number}", AIMessage("Here."), user=owner)
        made.append(room)
    Worker(named(["overview", "search", "usage"])).catch_up()
    return made


def filled(by: Any, reviewers: int = 1) -> int:
    """A queue with all conversations that there are."""
    number = acts.open_queue("Cups", by=by, instructions="Look at the cups.", reviewers=reviewers)
    acts.fill(number, "", by=by)
    return number


def next_of(number: int, by: Any, after: int | None = None) -> Taken:
    return take_next(number, by=by, may_see=lambda room: True, after=after)


def stream_of(number: int) -> int:
    return Queue.objects.get(number=number).stream_id


def counts(number: int) -> dict[str, int]:
    """How many items there are of each status, of those that there are."""
    found = listing.counts([stream_of(number)])[stream_of(number)]
    return {status: n for status, n in found.items() if n}
