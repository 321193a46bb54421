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

from django.db.models import Exists, F, Func, IntegerField, Min, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan, LessThan

from ..events.models import Actor, Event
from ..events.tables.database import log_database


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
    turn that has not ended, if there is one, and `runner` the process that answers it.
    """

    places: Sequence[TurnPlace]
    head: int
    cleared: int
    erased: int
    more: bool
    open_turn: uuid.UUID | None = None
    runner: str | None = None


class _Size(Func):
    """The bytes of a text: PostgreSQL knows them without reading the text."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Characters: SQLite before 3.43 has no OCTET_LENGTH.
        return self.as_sql(compiler, connection, function="LENGTH", **context)


def read_outline(
    stream_id: int, user: Any, *, after: int = 0, before: int | None = None, limit: int
) -> Outline:
    """Return the last `limit` turns of one user (None: guests) since the conversation was cleared.

    With `after`, only the turns that changed after that version, and the open one. With `before`,
    only the turns that began before that version. Takes one query, and one more if there are turns.
    """
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    found = _heads(stream, user)
    if found is None:
        return Outline([], 0, 0, 0, False)
    head, cleared, erased, open_, started_with = found
    runner = json.loads(started_with).get("runner") if started_with else None
    mine = stream.filter(_by(user), turn_id__isnull=False, version__lte=head)
    ids: Any
    if after:
        changed: list[Any] = []
        if head > after:
            # One turn may have many events; what goes beyond this is not sent piece by piece.
            several = mine.filter(version__gt=after).order_by(*_newest_first(user))
            changed = list(several.values_list("turn_id", flat=True)[: 20 * limit])
            if len(changed) == 20 * limit:
                return Outline([], head, cleared, erased, True, open_, runner)
        ids = {*changed, *filter(None, [open_])}
        if not ids:
            return Outline([], head, cleared, erased, False)
    else:
        earlier = stream.annotate(at=F("version") + 0).filter(
            LessThan(F("at"), OuterRef("version")), turn_id=OuterRef("turn_id")
        )
        began = mine.filter(version__gt=cleared).exclude(Exists(earlier))
        if before is not None:
            began = began.filter(version__lt=before)
        ids = Subquery(began.order_by(*_newest_first(user)).values("turn_id")[: limit + 1])
    sizes = (
        stream.filter(turn_id__in=ids, version__lte=head)
        .order_by()
        .values("turn_id")
        .annotate(first=Min("version"), size=Coalesce(Sum(_Size("payload")), 0))
        .values_list("turn_id", "first", "size")
    )
    # A turn that began before the clearing is hidden, also if it ended after it.
    places = sorted(
        (TurnPlace(*row) for row in sizes if row[1] > cleared), key=lambda place: place.first
    )
    shown = places[-limit:]
    if open_ not in {place.turn_id for place in shown}:
        open_ = None
    return Outline(shown, head, cleared, erased, len(places) > limit, open_, runner)


def is_shown(stream_id: int, turn_id: uuid.UUID) -> bool:
    """Return whether a turn began after the conversation was last cleared."""
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    cleared = _last(stream, "ConversationCleared")
    began = stream.filter(turn_id=turn_id).aggregate(began=Min("version"))["began"]
    return began is not None and began > (cleared.first() or {"version": 0})["version"]


def _heads(stream: Any, user: Any) -> tuple[int, int, int, uuid.UUID | None, str | None] | None:
    """Return the versions of the last event, clearing and erasure, and the person's open turn with
    its metadata."""
    started = stream.filter(type="TurnStarted", version=Subquery(_last(stream, "TurnStarted")))
    ended = stream.annotate(at=F("version") + 0).filter(
        GreaterThan(F("at"), OuterRef("version")), turn_id=OuterRef("turn_id")
    )
    open_ = started.filter(_by(user)).exclude(Exists(ended))
    found: tuple[int, int, int, uuid.UUID | None, str | None] | None = (
        stream.order_by("-version")
        .values_list(
            "version",
            Coalesce(Subquery(_last(stream, "ConversationCleared")), 0),
            Coalesce(Subquery(_last(stream, "PayloadErased")), 0),
            Subquery(open_.values("turn_id")[:1]),
            Subquery(open_.values("metadata")[:1]),
        )
        .first()
    )
    return found


def _last(stream: Any, type_: str) -> Any:
    return stream.filter(type=type_).order_by("-version").values("version")[:1]


def _by(user: Any) -> Q:
    if user is None or not user.is_authenticated:
        return Q(actor_id=None)
    # Looked up in the same query. A user without turns has no actor.
    return Q(actor_id=Subquery(Actor.objects.filter(user_id=user.pk).values("id")[:1]))


def _newest_first(user: Any) -> tuple[str, ...]:
    # For guests, PostgreSQL finds the order in the index only if it is spelled out: it does not
    # conclude from IS NULL that all are the same.
    guest = user is None or not user.is_authenticated
    return ("-actor_id", "-version") if guest else ("-version",)
