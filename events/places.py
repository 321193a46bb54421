"""A turn's place in its actor's current branch, and what is chosen there instead of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

from django.db.models import Q

from ..core.errors import BranchRefused, UnknownTurn
from .branches import Branch, beginnings, branch_at, branches_back
from .tables.actor import Actor
from .tables.database import log_database
from .tables.event import Event
from .tables.literal import Literal
from .types import BranchChosen

MOST = 100
"""How many turns can stand in one place. Each choice at it records where they all began."""


class Place(NamedTuple):
    """A turn's place: the version at which it began, and its actor's current branch."""

    turn_id: uuid.UUID
    actor_id: uuid.UUID | None
    began: int
    branch: Branch

    def replaced(self, turn_id: uuid.UUID, began: int) -> BranchChosen:
        """Return the choice of a turn that begins at a version, instead of this one."""
        before = self.branch.before(self.began)
        here = self.branch.alternatives_to(self.began) or (self.began,)
        places = (*before.alternatives, (*here, began))
        return _chosen(turn_id, self.turn_id, self.began, before.kept, places)


def place_of(stream_id: int, turn_id: uuid.UUID, user: Any) -> Place:
    """Return the place of a turn that is to be replaced.

    Raises UnknownTurn, and BranchRefused if it is another person's, cleared, erased or not current,
    or if too many have replaced it.
    """
    place = _found(stream_id, turn_id, user)
    if not place.branch.has(place.began):
        why = "it is not in the current branch; choose_branch() makes it current"
        raise BranchRefused(stream_id, turn_id, why)
    if len(place.branch.alternatives_to(place.began)) >= MOST:
        raise BranchRefused(stream_id, turn_id, f"{MOST} turns stand in its place already")
    return place


def chosen_again(stream_id: int, turn_id: uuid.UUID, user: Any) -> BranchChosen | None:
    """Return the choice of a turn that was replaced, with those that came after it when it last was
    current; None if it is current.

    Raises UnknownTurn, and BranchRefused if it is another person's, cleared or erased, or no
    alternative to a turn of the current branch.
    """
    place = _found(stream_id, turn_id, user)
    if place.branch.has(place.began):
        return None
    here = place.branch.alternatives_to(place.began)
    if not here:
        why = (
            "it is no alternative to a turn of the current branch; choose first the turn after"
            " which it came"
        )
        raise BranchRefused(stream_id, turn_id, why)
    left = place.branch.current_of(here)
    before, after = place.branch.before(left), _when_last_current(stream_id, place)
    return _chosen(
        turn_id,
        None,
        min(left, place.began),
        (*before.kept, *after.kept),
        (*before.alternatives, here, *after.alternatives),
    )


def _found(stream_id: int, turn_id: uuid.UUID, user: Any) -> Place:
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    turn = list(
        stream.filter(turn_id=turn_id)
        .annotate(gone=Q(payload=None))
        .order_by("version")
        .values_list("version", "actor_id", "gone")
    )
    if not turn:
        raise UnknownTurn(stream_id, turn_id, "take the id of one of its turns")
    began, actor_id, _ = turn[0]
    if actor_id != Actor.objects.known(user):
        raise BranchRefused(stream_id, turn_id, "it is another person's")
    cleared = _cleared(stream)
    if began < cleared:
        raise BranchRefused(stream_id, turn_id, "the conversation was cleared after it")
    if any(gone for _, _, gone in turn):
        raise BranchRefused(stream_id, turn_id, "its words are erased")
    head = stream.order_by("-version").values_list("version", flat=True)[0]
    branch = branch_at(stream_id, actor_id)
    if branch.since < cleared:
        branch = Branch(cleared)
    return Place(turn_id, actor_id, began, _closed(stream_id, actor_id, branch, head))


def _cleared(stream: Any) -> int:
    clearings = stream.filter(type=Literal("ConversationCleared")).order_by("-version")
    return clearings.values_list("version", flat=True).first() or 0


def _closed(stream_id: int, actor_id: uuid.UUID | None, branch: Branch, until: int) -> Branch:
    """Return a branch as it was at a version, with all its turns in `kept`."""
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    later = stream.filter(
        actor_id=actor_id, turn_id__isnull=False, version__gt=branch.since, version__lte=until
    )
    # For guests, an index gives the order only if it is spelled out.
    began = beginnings(later, stream).order_by("actor_id", "version")
    versions = began.values_list("version", flat=True)
    first, last = versions.first(), versions.last()
    if first is None or last is None:
        return branch._replace(since=until)
    return branch._replace(since=until, kept=(*branch.kept, (first, last)))


def _when_last_current(stream_id: int, place: Place) -> Branch:
    """Return what a turn's branch had from this turn on, before another one was chosen."""
    branches = chain(branches_back(stream_id, place.actor_id), [Branch()])
    later, left = next(pair for pair in pairwise(branches) if pair[1].has(place.began))
    return _closed(stream_id, place.actor_id, left, later.since - 1).from_(place.began)


def _chosen(
    turn_id: uuid.UUID,
    instead_of: uuid.UUID | None,
    changed: int,
    kept: Sequence[tuple[int, int]],
    alternatives: Sequence[Sequence[int]],
) -> BranchChosen:
    return BranchChosen(
        str(turn_id),
        None if instead_of is None else str(instead_of),
        changed,
        [list(each) for each in kept],
        [list(each) for each in alternatives],
    )
