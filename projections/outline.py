"""Which turns a person sees of a conversation, and how large they are: without their words.

Each query here reads as much as it returns, however long the conversation is and whoever else spoke
in it. So a page that has nothing new costs nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import (
    Exists,
    F,
    Func,
    IntegerField,
    Min,
    OuterRef,
    Subquery,
    Sum,
    UUIDField,
    Value,
)
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan, LessThan

from ..events.models import Actor, Event
from ..events.tables.database import log_database
from ..events.tables.literal import Literal
from ..events.types import OPEN_TYPES, WAITING_TYPE


class TurnPlace(NamedTuple):
    """A turn, the version at which it began, and the bytes of its payloads."""

    turn_id: uuid.UUID
    first: int
    size: int


@dataclass(frozen=True, slots=True)
class Outline:
    """Places of turns in the order they began, as they were at version `head` of the stream.

    `cleared` and `erased` are the versions of the last clearing and the last erasure (0: never).
    `more` says whether older turns that were asked for are left out. `open_turn` is the person's
    turn that has not ended, if there is one, and `runner` the process that answers it; a turn that
    `waits` for a person has none.
    """

    places: Sequence[TurnPlace]
    head: int
    cleared: int
    erased: int
    more: bool
    open_turn: uuid.UUID | None = None
    runner: str | None = None
    waits: bool = False


class _Size(Func):
    """The bytes of a text: PostgreSQL knows them without reading the text."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Characters: SQLite before 3.43 has no OCTET_LENGTH.
        return self.as_sql(compiler, connection, function="LENGTH", **context)


SIZE = Coalesce(Sum(_Size("payload")), 0)
"""The bytes of some events' payloads together."""


def read_outline(
    stream_id: int, user: Any, *, after: int = 0, before: int | None = None, limit: int
) -> Outline:
    """Return the last `limit` turns of one user (None: guests) since the conversation was cleared.

    With `after`, only the turns that changed after that version, and the open one. With `before`,
    only the turns that began before that version. Takes one query, and one more if there are turns.
    """
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    guest = user is None or not user.is_authenticated
    found = _heads(stream, None if guest else user)
    if found is None:
        return Outline([], 0, 0, 0, False)
    if found.actor is None and not guest:  # Without turns, a user has no actor.
        return Outline([], found.head, found.cleared, found.erased, False)
    head, cleared, erased, actor, open_, state, began_with = found
    waits = state == WAITING_TYPE
    runner = json.loads(began_with).get("runner") if began_with and not waits else None
    # By value: only then PostgreSQL knows how few these are, and takes the actor's index. For
    # guests it finds the order there if it is spelled out: IS NULL does not say that all are equal.
    mine = stream.filter(actor_id=actor, turn_id__isnull=False, version__lte=head)
    newest_first = ("-actor_id", "-version") if guest else ("-version",)
    ids: Any
    if after:
        changed: list[Any] = []
        if head > after:
            # One turn may have many events; what goes beyond this is not sent piece by piece.
            several = mine.filter(version__gt=after).order_by(*newest_first)
            changed = list(several.values_list("turn_id", flat=True)[: 20 * limit])
            if len(changed) == 20 * limit:
                return Outline([], head, cleared, erased, True, open_, runner, waits)
        ids = {*changed, *filter(None, [open_])}
        if not ids:
            return Outline([], head, cleared, erased, False)
    else:
        began = beginnings(mine.filter(version__gt=cleared), stream)
        if before is not None:
            began = began.filter(version__lt=before)
        ids = Subquery(began.order_by(*newest_first).values("turn_id")[: limit + 1])
    sizes = (
        of_turns(stream, ids, head)
        .order_by()
        .values("turn_id")
        .annotate(first=Min("version"), size=SIZE)
        .values_list("turn_id", "first", "size")
    )
    # A turn that began before the clearing is hidden, also if it ended after it.
    places = sorted(
        (TurnPlace(*row) for row in sizes if row[1] > cleared), key=lambda place: place.first
    )
    shown = places[-limit:]
    if open_ not in {place.turn_id for place in shown}:
        open_ = None
    return Outline(shown, head, cleared, erased, len(places) > limit, open_, runner, waits)


def beginnings(events: Any, stream: Any) -> Any:
    """Return those of a stream's events with which a turn begins."""
    earlier = stream.annotate(at=F("version") + 0).filter(
        LessThan(F("at"), OuterRef("version")), turn_id=OuterRef("turn_id")
    )
    return events.exclude(Exists(earlier))


def of_turns(stream: Any, ids: Any, head: int) -> Any:
    """Return the events of some turns up to a version, found by their turns.

    With the version as it is, SQLite would rather walk the stream by it.
    """
    return stream.annotate(at=F("version") + 0).filter(turn_id__in=ids, at__lte=head)


LARGEST_VERSION = 2**31 - 1

_ANYBODY: Any = object()


def is_shown(stream_id: int, turn_id: uuid.UUID, *, of: Any = _ANYBODY) -> bool:
    """Return whether a turn began after the conversation was last cleared, and is this user's
    (None: a guest's)."""
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    cleared = _last(stream, "ConversationCleared")
    turn = stream.filter(turn_id=turn_id)
    if of is not _ANYBODY:
        guest = of is None or not of.is_authenticated
        actor = None if guest else Actor.objects.known(of)
        if actor is None and not guest:
            return False
        turn = turn.filter(actor_id=actor)
    began = turn.aggregate(began=Min("version"))["began"]
    return began is not None and began > (cleared.first() or {"version": 0})["version"]


def began_at(stream_id: int, turn_id: uuid.UUID) -> int:
    """Return the version at which a turn began; 0 if there is no such turn."""
    turn = Event.objects.using(log_database()).filter(stream_id=stream_id, turn_id=turn_id)
    return turn.aggregate(began=Min("version"))["began"] or 0


class _Heads(NamedTuple):
    """The versions of the last event, clearing and erasure; a person's pseudonym, and their open
    turn with its last event's type and metadata."""

    head: int
    cleared: int
    erased: int
    actor: uuid.UUID | None
    open_turn: uuid.UUID | None
    state: str | None
    metadata: str | None


def _heads(stream: Any, user: Any) -> _Heads | None:
    actor: Any = Value(None, UUIDField())
    if user:
        actor = Subquery(Actor.objects.filter(user_id=user.pk).values("id")[:1])
    last = Subquery(_last(stream, "TurnStarted"))
    started = stream.filter(type=Literal("TurnStarted"), version=last)
    ended = stream.annotate(at=F("version") + 0).filter(
        GreaterThan(F("at"), OuterRef("version")), turn_id=OuterRef("turn_id")
    )
    ended = ended.exclude(type__in=OPEN_TYPES)
    theirs = started.filter(actor_id=actor) if user else started.filter(actor_id=None)
    open_ = theirs.exclude(Exists(ended))
    newest = stream.annotate(at=F("version") + 0).filter(turn_id=OuterRef("turn_id"))
    newest = newest.order_by("-at")
    found = (
        stream.order_by("-version")
        .values_list(
            "version",
            Coalesce(Subquery(_last(stream, "ConversationCleared")), 0),
            Coalesce(Subquery(_last(stream, "PayloadErased")), 0),
            actor,
            Subquery(open_.values("turn_id")[:1]),
            Subquery(open_.annotate(state=Subquery(newest.values("type")[:1])).values("state")[:1]),
            Subquery(open_.annotate(of=Subquery(newest.values("metadata")[:1])).values("of")[:1]),
        )
        .first()
    )
    return _Heads(*found) if found else None


def _last(stream: Any, type_: str) -> Any:
    return stream.filter(type=Literal(type_)).order_by("-version").values("version")[:1]
