"""Retention: erases words that are older than the policy in the settings allows."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from ...core import conf
from ...core.errors import ConfigurationError
from ..beside import accesses_of
from ..tables.conversation import rows
from ..tables.database import log_database
from ..tables.event import Event
from ..types import NEVER_ERASED
from .act import Wanted
from .erase import erase_wanted
from .receipts import Receipt

_PAGE = 500

_REASONS = {
    "conversations": "retention: conversations without anything new for {days} days",
    "turns": "retention: turns older than {days} days",
    "failed_turns": "retention: turns without an answer older than {days} days",
    "accesses": "retention: accesses older than {days} days",
}


@dataclass(frozen=True, slots=True)
class Due:
    """What a policy is about to erase in one conversation: `turns`, or if empty, all of it."""

    kind: str
    conversation: int
    turns: frozenset[uuid.UUID]
    reason: str
    before: dt.datetime


def due(now: dt.datetime | None = None) -> Iterator[Due]:
    """Everything that the settings' policy requires to be erased, by kind and conversation.

    Raises ConfigurationError if there is no policy.
    """
    policy = conf.get().retention
    if not policy:
        raise ConfigurationError(
            'there is no policy: expected TURNLOG["RETENTION"] to say how many days to keep what,'
            ' such as {"turns": 365}, found nothing'
        )
    return _due(policy, now or timezone.now())


def _due(policy: Any, now: dt.datetime) -> Iterator[Due]:
    for kind, reason in _REASONS.items():
        days = policy.get(kind)
        if days is None:
            continue
        try:
            before = now - dt.timedelta(days=days)
        except OverflowError:  # Before the year 1: nothing is that old.
            continue
        find = _turns if kind.endswith("turns") else _conversations
        for conversation, turns in find(kind, before):
            yield Due(kind, conversation, turns, reason.format(days=days), before)


def apply(found: Due, *, dry_run: bool = False) -> Receipt:
    """Erase what is due, unless it was continued meanwhile. Raises the same errors as `erase`.

    With `dry_run`, nothing is erased; the receipt says what would be.
    """
    wanted = Wanted(everything=not found.turns, turns=found.turns, unless_since=found.before)
    return erase_wanted(found.conversation, wanted, reason=found.reason, dry_run=dry_run)


Found = Iterator[tuple[int, frozenset[uuid.UUID]]]


def _conversations(kind: str, before: dt.datetime) -> Found:
    """Yield conversations, or months of accesses, with nothing recorded since `before` and
    something left to erase."""
    which = Q(beside__startswith=accesses_of("")) if kind == "accesses" else Q(beside=None)
    facts = Event.objects.filter(stream_id=OuterRef("pk")).exclude(type__in=NEVER_ERASED)
    last = Subquery(facts.order_by("-version").values("recorded_at")[:1])
    conversations = (
        rows()
        .filter(which)
        .annotate(last=Coalesce(last, "created_at"))
        .filter(~Q(title="") | Exists(facts.filter(payload__isnull=False)), last__lt=before)
        .order_by("pk")
    )
    after = 0
    while page := list(conversations.filter(pk__gt=after).values_list("pk", flat=True)[:_PAGE]):
        for pk in page:
            yield pk, frozenset()
        after = page[-1]


def _turns(kind: str, before: dt.datetime) -> Found:
    """Yield turns with nothing recorded since `before` and something left to erase."""
    using = log_database()
    conversations = rows().order_by("pk").values_list("pk", flat=True)
    after = 0
    while page := list(conversations.filter(pk__gt=after)[:_PAGE]):
        after = page[-1]
        turns = (
            Event.objects.using(using)
            .filter(stream_id__gte=page[0], stream_id__lte=page[-1], turn_id__isnull=False)
            .order_by("stream_id")
            .values("stream_id", "turn_id")
            .annotate(last=Max("recorded_at"), left=Count("pk", filter=Q(payload__isnull=False)))
            .filter(last__lt=before, left__gt=0)
        )
        if kind == "failed_turns":
            turns = turns.annotate(
                failed=Count("pk", filter=Q(type="TurnFailed")),
                said=Count("pk", filter=Q(type="MessageAppended")),
            ).filter(failed__gt=0, said=0)
        by_stream: dict[int, set[uuid.UUID]] = {}
        for row in turns:
            if row["turn_id"] is not None:
                by_stream.setdefault(row["stream_id"], set()).add(row["turn_id"])
        for stream, ids in by_stream.items():
            yield stream, frozenset(ids)
