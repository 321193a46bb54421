"""How queues and their items stand, and decisions that are based on it."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db import connections
from django.utils import timezone
from django.utils.translation import gettext as _

from ...core import conf
from ...core.errors import QueueRefused, UnknownQueue
from ...events.beside import found, queue_of
from ...events.log import NewEvent, append_decided
from ...events.models import Actor
from ...events.store.dialect import dialect_of
from ...events.store.isolation import locking
from ...events.store.sqlite import begin_writing
from ...events.tables.conversation import NOBODY
from ...events.tables.database import log_database
from ...events.types import EventData
from .deciding import LOCK_SECONDS, Item
from .model import Queue, QueueItem, QueueMark

_LEFT = dt.timedelta(seconds=LOCK_SECONDS * 2 / 3)
"""A lock that lasts for longer than this is not renewed: not each note is an event here, too."""


F = TypeVar("F")


def stream_of(number: int) -> int:
    """Return the stream of a queue. Raises UnknownQueue."""
    stream = found(queue_of(number))
    if stream is None:
        raise UnknownQueue(number)
    return stream


def settled(
    stream: int, gather: Callable[[], F], decide: Callable[[F], Sequence[EventData]], *, by: Any
) -> F:
    """Append to a queue's stream what `decide` returns for what `gather` has read of its rows;
    return what was read.

    Nobody else's append changes them until this one is committed. Otherwise what is read one after
    the other might not fit together, and a decision that raises is not made again.
    """
    latest: list[F] = []
    using = log_database()

    def read(standing: Any) -> F:
        latest[:] = [gather()]
        return latest[0]

    def decided(standing: Any, gathered: F) -> list[NewEvent]:
        return [NewEvent(fact, user=by) for fact in decide(gathered)]

    with locking(using):
        begin_writing()
        with connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_streams(cursor, [stream])
        append_decided(stream, decided, read)
    return latest[0]


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
