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
from django.db.models import Exists, OuterRef

from .store.dialect import dialect_of
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

    Clearing begins a new list and hides the turns that were under way. Erased events are not
    listed.
    """

    def __init__(self) -> None:
        self.entries: list[Listed] = []
        self._under_way: set[uuid.UUID] = set()
        self._hidden: set[uuid.UUID] = set()

    def apply(self, event: Event) -> None:
        if event.type == "TurnStarted" and event.turn_id:
            self._under_way.add(event.turn_id)
        elif event.type == "ConversationCleared":
            # A new list, not an emptied one: a caller that has the old one keeps it as it was.
            self.entries = []
            self._hidden |= self._under_way
        elif event.type in LISTED and event.turn_id not in self._hidden:
            if event.turn_id:
                self._under_way.discard(event.turn_id)
            if event.payload is not None:
                self.entries.append(
                    Listed(
                        event.version,
                        event.turn_id,
                        event.actor_id,
                        event.payload,
                        event.recorded_at,
                    )
                )


def fold(events: Iterable[Event]) -> list[Listed]:
    """The message list after a stream's events, given in order from the first."""
    listed = MessageList()
    for event in events:
        listed.apply(event)
    return listed.entries


def read_listed(stream_id: int, until: int) -> list[Listed]:
    """The message list as it stood at version `until`, in two queries.

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
    return listed.order_by("version")
