"""Defines the message list: as a pure fold over a stream, and as a query that must equal the fold.

Everything that derives the list uses one of the two: the read model, its checks, time travel and
forks.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Exists, F, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from .branches import Branch, branch_of, branches_at
from .store.dialect import dialect_of
from .store.kept import IsWithin
from .tables.database import log_database
from .tables.event import Event
from .tables.literal import Literal

LISTED = ("MessageAppended", "ToolOutputRecorded")


class Listed(NamedTuple):
    """An entry of the message list: its event's version, turn, actor, payload text and time."""

    version: int
    turn_id: uuid.UUID | None
    actor_id: uuid.UUID | None
    content: str
    created_at: dt.datetime


class MessageList:
    """The list as it grows: apply a stream's events in order of version, from the first.

    Clearing begins a new list and hides the turns that began before it. Choosing a branch hides the
    turns of its actor that are not in it, and shows those that are. Erased events are not listed.
    """

    def __init__(self) -> None:
        self.entries: list[Listed] = []
        self._all: list[tuple[int, Listed]] = []  # With where their turns began.
        self._began: dict[uuid.UUID, int] = {}
        self._branches: dict[uuid.UUID | None, Branch] = {}
        self._cleared = 0

    def apply(self, event: Event) -> None:
        began = event.version
        if event.turn_id:
            began = self._began.setdefault(event.turn_id, event.version)
        # A new list, not a changed one: a caller that has the old one keeps it as it was.
        if event.type == "ConversationCleared":
            self._cleared, self._all, self.entries = event.version, [], []
        elif event.type == "BranchChosen":
            self._branches[event.actor_id] = branch_of(event)
            self.entries = [entry for began, entry in self._all if self._shows(entry, began)]
        elif event.type in LISTED and event.payload is not None and began > self._cleared:
            entry = Listed(
                event.version, event.turn_id, event.actor_id, event.payload, event.recorded_at
            )
            self._all.append((began, entry))
            if self._shows(entry, began):
                self.entries.append(entry)

    def _shows(self, entry: Listed, began: int) -> bool:
        branch = self._branches.get(entry.actor_id)
        return branch is None or branch.has(began)


def fold(events: Iterable[Event]) -> list[Listed]:
    """The message list after a stream's events, given in order from the first."""
    listed = MessageList()
    for event in events:
        listed.apply(event)
    return listed.entries


def read_listed(stream_id: int, until: int) -> list[Listed]:
    """The message list as it stood at version `until`, in four queries.

    The cost grows with what came between the last clearing before that version and the version.
    """
    rows = visible(stream_id, until).filter(payload__isnull=False).order_by()
    time, moment = dialect_of(connections[log_database()]).times("recorded_at")
    columns = rows.values_list("version", "turn_id", "actor_id", "payload", time)
    # Sorted here: they mostly come in order, and PostgreSQL may sort long texts on disk.
    ordered = sorted(columns, key=itemgetter(0))
    return [
        Listed(version, turn_id, actor_id, payload, moment(at))
        for version, turn_id, actor_id, payload, at in ordered
    ]


def visible(stream_id: int, until: int) -> Any:
    """The events in the list at a version, in order, including erased ones."""
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    clearings = stream.filter(type=Literal("ConversationCleared"), version__lte=until)
    cleared = clearings.order_by("-version").values_list("version", flat=True).first() or 0
    listed = stream.filter(version__gt=cleared, version__lte=until, type__in=LISTED)
    if cleared:
        began_before = stream.filter(turn_id=OuterRef("turn_id"), version__lt=cleared)
        listed = listed.exclude(Exists(began_before))
    for actor_id, branch in branches_at(stream_id, until, after=cleared).items():
        # With "+ 0", as in the message list's own statement.
        turn = stream.filter(turn_id=OuterRef("turn_id")).order_by().values("turn_id")
        first = Subquery(turn.annotate(first=Min(F("version") + 0)).values("first"))
        began = Coalesce(first, F("version"))
        theirs = Q(actor_id=actor_id)
        current = Q(began__gt=branch.since) | Q(IsWithin(F("began"), branch.kept))
        listed = listed.annotate(began=began).filter(~theirs | current)
    return listed.order_by("version")
