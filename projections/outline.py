"""Which turns a person sees of a conversation, and how large they are: without their words.

Each query here reads as much as it returns, however long the conversation is and whoever else spoke
in it. So a page that has nothing new costs nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from django.db.models import (
    Exists,
    F,
    Func,
    IntegerField,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
    UUIDField,
    Value,
)
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan

from ..events.branches import Branch, beginnings, branch_at, branches_back, described
from ..events.models import Actor, Event
from ..events.store.kept import IsWithin
from ..events.tables.database import log_database
from ..events.tables.literal import Literal
from ..events.types import OPEN_TYPES, WAITING_TYPE


class TurnPlace(NamedTuple):
    """A turn, the version at which it began, and the bytes of its payloads.

    `alternatives` are the turns that can stand in its place, itself among them, in the order they
    began; empty if there is no other.
    """

    turn_id: uuid.UUID
    first: int
    size: int
    alternatives: tuple[uuid.UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """Places of turns in the order they began, as they were at version `head` of the stream.

    `cleared` and `erased` are the versions of the last clearing and the last erasure (0: never).
    `more` says whether older turns that were asked for are left out. `open_turn` is the person's
    turn that has not ended, if there is one, and `runner` the process that answers it; a turn that
    `waits` for a person has none. `gone` are the turns that were current at the version `after`,
    and are not any more.
    """

    places: Sequence[TurnPlace]
    head: int
    cleared: int
    erased: int
    more: bool
    open_turn: uuid.UUID | None = None
    runner: str | None = None
    waits: bool = False
    gone: Sequence[uuid.UUID] = ()


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
    """Return the last `limit` turns of one user's current branch (None: guests) since the
    conversation was cleared.

    With `after`, only the turns that changed after that version, and the open one. With `before`,
    only the turns that began before that version. Takes one query, and one more if there are turns,
    or if some have alternatives; three if another branch was chosen after `after`.
    """
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    guest = user is None or not user.is_authenticated
    found = _heads(stream, None if guest else user)
    if found is None:
        return Outline([], 0, 0, 0, False)
    if found.actor is None and not guest:  # Without turns, a user has no actor.
        return Outline([], found.head, found.cleared, found.erased, False)
    head, cleared, erased, actor, open_, state, began_with = found[:7]
    branch = found.branch
    waits = state == WAITING_TYPE
    runner = json.loads(began_with).get("runner") if began_with and not waits else None
    # By value: only then PostgreSQL knows how few these are, and takes the actor's index. For
    # guests it finds the order there if it is spelled out: IS NULL does not say that all are equal.
    mine = stream.filter(actor_id=actor, turn_id__isnull=False, version__lte=head)
    newest_first = ("-actor_id", "-version") if guest else ("-version",)
    ids: Any
    gone: list[uuid.UUID] = []
    if after:
        changed: list[Any] = []
        if head > after:
            # One turn may have many events; what goes beyond this is not sent piece by piece.
            several = mine.filter(version__gt=after).order_by(*newest_first)
            changed = list(several.values_list("turn_id", flat=True)[: 20 * limit])
            if len(changed) == 20 * limit:
                return Outline([], head, cleared, erased, True, open_, runner, waits)
        moved = _moved(stream_id, actor, mine.order_by(*newest_first), branch, after, limit)
        if moved is None:
            return Outline([], head, cleared, erased, True, open_, runner, waits)
        gone = moved.gone
        ids = {*changed, *moved.come, *filter(None, [open_])}
        if not ids:
            return Outline([], head, cleared, erased, False)
    else:
        began = beginnings(mine.filter(version__gt=cleared), stream)
        if before is not None:
            began = began.filter(version__lt=before)
        if branch.since > cleared:
            began = _of_branch(began, branch, before, limit)
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
        (TurnPlace(*row) for row in sizes if row[1] > cleared and branch.has(row[1])),
        key=lambda place: place.first,
    )
    shown = _with_alternatives(stream, branch, places[-limit:])
    if open_ not in {place.turn_id for place in shown}:
        open_ = None
    return Outline(shown, head, cleared, erased, len(places) > limit, open_, runner, waits, gone)


def _of_branch(began: Any, branch: Branch, before: int | None, limit: int) -> Any:
    """Return beginnings of turns that are in a branch: the last `limit` + 1 at least."""
    # Each range has a turn, so the last few have enough.
    ranges = [each for each in branch.kept if before is None or each[0] < before]
    ranges = ranges[-limit - 1 :]
    within: Any = Q(version__gt=branch.since)
    if ranges:
        within |= Q(IsWithin(F("version"), ranges), version__gte=ranges[0][0])
    return began.filter(within)


class _Moved(NamedTuple):
    gone: list[uuid.UUID]
    come: list[uuid.UUID]


def _moved(
    stream_id: int, actor: Any, mine: Any, branch: Branch, after: int, limit: int
) -> _Moved | None:
    """Return the turns that were current at a version and are not now; and those that are current
    and were not, or have other alternatives now. None if there are too many."""
    if branch.since <= after:
        return _Moved([], [])
    chosen = list(islice(branches_back(stream_id, actor, after=after), _CHOICES))
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    since = min(each.changed for each in chosen)
    began = beginnings(mine.filter(version__gte=since), stream)
    found = list(began.values_list("turn_id", "version")[: 20 * limit])
    if len(chosen) == _CHOICES or len(found) == 20 * limit:
        return None
    old = branch_at(stream_id, actor, after)
    moved = _Moved([], [])
    for turn_id, version in found:
        was = version <= after and old.has(version)
        if was and not branch.has(version):
            moved.gone.append(turn_id)
        elif branch.has(version) and (
            not was or old.alternatives_to(version) != branch.alternatives_to(version)
        ):
            moved.come.append(turn_id)
    return None if max(map(len, moved)) > limit else moved


_CHOICES = 100
"""Choices of a branch after which a page that missed them starts again."""


def _with_alternatives(
    stream: Any, branch: Branch, places: Sequence[TurnPlace]
) -> Sequence[TurnPlace]:
    versions = {place.first: branch.alternatives_to(place.first) for place in places}
    wanted = {version for several in versions.values() for version in several}
    if not wanted:
        return places
    # Whole turns are erased. Where nothing is left to see, there is nothing to choose.
    there = Q(payload__isnull=False) | Q(version__in=versions)
    found = stream.filter(there, version__in=wanted).values_list("version", "turn_id")
    ids = dict(found)
    return [
        place._replace(
            alternatives=tuple(ids[each] for each in versions[place.first] if each in ids)
        )
        for place in places
    ]


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
    """The versions of the last event, clearing and erasure; a person's pseudonym; their open turn
    with its last event's type and metadata; the branch that they chose last, with its version."""

    head: int
    cleared: int
    erased: int
    actor: uuid.UUID | None
    open_turn: uuid.UUID | None
    state: str | None
    metadata: str | None
    branched: int | None
    chosen: str | None

    @property
    def branch(self) -> Branch:
        """The person's current branch."""
        return Branch() if self.chosen is None else described(self.branched or 0, self.chosen)


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
    chosen = stream.filter(type=Literal("BranchChosen")).order_by("-version")
    chosen = chosen.filter(actor_id=actor) if user else chosen.filter(actor_id=None)
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
            Subquery(chosen.values("version")[:1]),
            Subquery(chosen.values("payload")[:1]),
        )
        .first()
    )
    return _Heads(*found) if found else None


def _last(stream: Any, type_: str) -> Any:
    return stream.filter(type=Literal(type_)).order_by("-version").values("version")[:1]
