"""Blind until done: who has yet to review an item sees no scores of others on it."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from ...events.models import Actor
from ..reviews.model import Remark
from .model import Queue, QueueItem, QueueMark


def seen_by(user: Any, remarks: QuerySet[Remark], *, resolves: bool = False) -> QuerySet[Remark]:
    """Return those of some remarks that a user may see.

    Everybody sees notes, sign-offs, and scores of their own. Scores of others are hidden while the
    conversation is an item of an active queue that is not completed, until the user has completed
    it. Who `resolves` sees them once the item awaits that.

    Whatever shows, counts, sorts or exports scores must take them from here.
    """
    mine = Actor.objects.filter(user=user).values("pk")
    return remarks.filter(
        ~Q(kind="score") | Q(actor_id__in=mine) | ~Exists(_hiding(user, resolves=resolves))
    )


def _hiding(user: Any, *, resolves: bool) -> QuerySet[QueueItem]:
    """The items that hide the scores on a remark's conversation."""
    mine = Actor.objects.filter(user=user).values("pk")
    active = Queue.objects.filter(stream_id=OuterRef("stream_id"), state="active")
    done = QueueMark.objects.filter(
        conversation=OuterRef("conversation"),
        stream_id=OuterRef("stream_id"),
        kind="done",
        actor_id__in=mine,
    )
    undone = ["open", "flagged"] if resolves else ["open", "flagged", "awaiting"]
    items = QueueItem.objects.filter(conversation=OuterRef("conversation"), state__in=undone)
    return items.filter(Exists(active), ~Exists(done)).order_by()
