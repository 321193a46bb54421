"""Branches: which of a person's turns are the current ones, where some have been replaced.

A turn continues the one before it. If it is started instead of another, that one and what came
after it are not current any more; but they stay in the log, and can be chosen again. Each
`BranchChosen` describes the whole branch of its actor, so the last one before a version says what
was current then. No event says so of a turn that continues the last one: it costs nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from django.db.models import Exists, F, Max, Min, OuterRef
from django.db.models.lookups import LessThan

from .tables.database import log_database
from .tables.event import Event
from .tables.literal import Literal

Range = tuple[int, int]
"""A first and a last version."""


class Branch(NamedTuple):
    """One actor's current branch: the turns that began in `kept`, or after the version `since`.

    `changed` is the version from which on it differs from the branch before. `alternatives` holds,
    for each place with several, the versions at which the turns began; one of each is current.
    """

    since: int = 0
    changed: int = 0
    kept: tuple[Range, ...] = ()
    alternatives: tuple[tuple[int, ...], ...] = ()

    def has(self, began: int) -> bool:
        """Return whether a turn that began at a version is current."""
        return began > self.since or any(first <= began <= last for first, last in self.kept)

    def alternatives_to(self, began: int) -> tuple[int, ...]:
        """Return where the turns began that can stand in a turn's place; with it, if there are
        others."""
        return next((each for each in self.alternatives if began in each), ())

    def current_of(self, alternatives: tuple[int, ...]) -> int:
        """Return which of the turns in one place is current."""
        return next(began for began in alternatives if self.has(began))

    def before(self, began: int) -> Branch:
        """Return what of this branch came before a turn of it."""
        kept = ((first, min(last, began - 1)) for first, last in self.kept if first < began)
        places = (each for each in self.alternatives if self.current_of(each) < began)
        return self._replace(kept=tuple(kept), alternatives=tuple(places))

    def from_(self, began: int) -> Branch:
        """Return what of this branch came with a turn of it and after."""
        kept = ((max(first, began), last) for first, last in self.kept if last >= began)
        places = (each for each in self.alternatives if self.current_of(each) > began)
        return self._replace(kept=tuple(kept), alternatives=tuple(places))


def branch_of(event: Event) -> Branch:
    """Return the branch that a BranchChosen describes."""
    return described(event.version, event.payload or "{}")


def described(version: int, text: str) -> Branch:
    """Return the branch of a BranchChosen's payload; one that describes none changes nothing."""
    try:
        payload = json.loads(text)
        return Branch(
            version,
            payload["changed"],
            tuple((first, last) for first, last in payload["kept"]),
            tuple(tuple(each) for each in payload["alternatives"]),
        )
    except (ValueError, RecursionError, TypeError, LookupError):
        return Branch()  # turnlog writes no such event, but something else may have.


def branch_at(stream_id: int, actor_id: uuid.UUID | None, until: int | None = None) -> Branch:
    """Return an actor's branch as it was at a version, by default now; one query."""
    return next(branches_back(stream_id, actor_id, until), Branch())


def branches_back(
    stream_id: int, actor_id: uuid.UUID | None, until: int | None = None, after: int = 0
) -> Iterator[Branch]:
    """Yield an actor's branches, the last one first; those that were chosen after a version."""
    chosen = _chosen(stream_id, after, until).filter(actor_id=actor_id)
    yield from map(branch_of, chosen.order_by("-version").iterator(chunk_size=100))


def branches_at(stream_id: int, until: int, after: int = 0) -> dict[uuid.UUID | None, Branch]:
    """Return everybody's branches as they were at a version, if they were chosen after another."""
    chosen = _chosen(stream_id, after, until)
    last = chosen.order_by().values("actor_id").annotate(last=Max("version")).values("last")
    return {event.actor_id: branch_of(event) for event in chosen.filter(version__in=last)}


def left_at(stream_id: int, turn_ids: Collection[uuid.UUID], until: int) -> set[uuid.UUID]:
    """Return which of these turns were not in their actor's current branch at a version."""
    branches = branches_at(stream_id, until)
    if not branches:
        return set()
    turns = Event.objects.using(log_database()).filter(stream_id=stream_id, turn_id__in=turn_ids)
    began = (
        turns.order_by().values_list("turn_id", "actor_id").annotate(first=Min(F("version") + 0))
    )
    return {
        turn_id
        for turn_id, actor_id, version in began
        if turn_id is not None and not branches.get(actor_id, Branch()).has(version)
    }


def _chosen(stream_id: int, after: int, until: int | None) -> Any:
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id, version__gt=after)
    chosen = stream.filter(type=Literal("BranchChosen"))
    return chosen if until is None else chosen.filter(version__lte=until)


def beginnings(events: Any, stream: Any) -> Any:
    """Return those of a stream's events with which a turn begins."""
    earlier = stream.annotate(at=F("version") + 0).filter(
        LessThan(F("at"), OuterRef("version")), turn_id=OuterRef("turn_id")
    )
    return events.exclude(Exists(earlier))
