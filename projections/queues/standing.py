"""How queues and their items stand, for a decision."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from ...core import conf
from ...core.errors import QueueRefused, UnknownQueue
from ...events.models import Actor
from ...events.tables.conversation import NOBODY
from ...events.tables.database import log_database
from .deciding import LOCK_SECONDS, Item
from .model import Queue, QueueItem, QueueMark

_LEFT = dt.timedelta(seconds=LOCK_SECONDS * 2 / 3)
"""A lock that lasts for longer than this is not renewed: not each note is an event here, too."""


def queue_at(stream: int) -> Queue:
    """Return the queue of a stream. Raises UnknownQueue."""
    queue = Queue.objects.using(log_database()).filter(stream_id=stream).first()
    if queue is None:
        raise UnknownQueue(stream)
    return queue


def asked_by(queue: Queue) -> list[str]:
    """The scores that a queue asks for, of those that the settings still have."""
    return [name for name in queue.asked if name in conf.get().scores]


def item_of(stream: int, conversation: int, who: uuid.UUID) -> tuple[Item, bool]:
    """Return how an item stands, and whether `who` has to take it (again) to work on it: their
    lock, if they have one, has lasted for a while.

    Raises QueueRefused if the conversation is not in the queue.
    """
    queue, now = queue_at(stream), timezone.now()
    using = log_database()
    here = {"stream_id": stream, "conversation": conversation}
    item = QueueItem.objects.using(using).filter(**here).first()
    if item is None:
        raise QueueRefused(_("This conversation is not in the queue: nothing was done."))
    marks = list(QueueMark.objects.using(using).filter(**here, kind__in=("claim", "done")))
    claims = {
        mark.actor_id: mark.until
        for mark in marks
        if mark.kind == "claim" and mark.until and mark.until > now and mark.actor_id
    }
    done = [mark for mark in marks if mark.kind == "done"]
    given = {mark.actor_id or NOBODY: json.loads(mark.scores) for mark in done}
    until = claims.get(who)
    ends = until is None or until - now < _LEFT
    standing = Item(
        conversation=conversation,
        active=queue.state == "active",
        state=item.state,
        reviewers=queue.reviewers,
        asked=asked_by(queue),
        given=given,
        taken=tuple(claims),
    )
    return standing, ends


def me(user: Any) -> uuid.UUID:
    """Return a user's pseudonym. Raises QueueRefused for guests."""
    who = Actor.objects.id_of(user)
    if who is None:
        raise QueueRefused(_("Expected somebody who is logged in, found nobody."))
    return who
