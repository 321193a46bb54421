"""The search projection: a row for each utterance, including the unanswered ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db import connections

from ...events import hooks
from ...events.models import Event
from ...events.tables.database import log_database
from ...events.types import MessageAppended, TurnFailed, TurnStarted
from ..engine.earlier_events import Turns
from ..engine.people import users_of
from ..engine.projection import Projection
from ..engine.registry import register
from ..engine.storable import storable
from . import index as search_index
from .model import SearchEntry
from .texts import Role, normalised, role_of, text_of


class Utterance(NamedTuple):
    """A role, and what it said."""

    role: Role
    text: str


@register
class SearchProjection(Projection):
    """Makes `SearchEntry`, in the worker.

    A turn contains the same words twice: when it begins and when it ends, or when it fails and is
    finished after all. The first occurrence is kept.
    """

    name = "search"
    handles = ("TurnStarted", "MessageAppended", "TurnFailed")
    model = SearchEntry

    def apply(self, events: Sequence[Event]) -> None:
        turns = Turns(events, self.handles)
        users = users_of(event.actor_id for event in events)
        entries = []
        for event in events:
            utterance = said(event)
            if utterance is None or utterance in map(said, turns.before(event)):
                continue
            entries.append(
                SearchEntry(
                    conversation_id=event.stream_id,
                    version=event.version,
                    turn_id=event.turn_id,
                    actor_id=event.actor_id,
                    user_id=users.get(event.actor_id),
                    role=utterance.role,
                    text=storable(utterance.text),
                    normalised=normalised(utterance.text),
                    created_at=event.recorded_at,
                )
            )
        self.add(entries)

    def erase(self, events: Sequence[Event]) -> None:
        # Whole turns are erased, so no other event's words were left out because of these.
        self.erase_rows(events)
        if hooks.later.get() is None:
            self.after_erasure()

    def after_erasure(self) -> None:
        search_index.forget_deleted(connections[log_database()])


def said(event: Event) -> Utterance | None:
    """Return what an event says in words; None if it says nothing or is erased."""
    data = event.words
    match data:
        case TurnStarted():
            utterance = Utterance("human", text_of(data.message))
        case TurnFailed():
            utterance = Utterance("ai", text_of(data.produced.get("message")))
        case MessageAppended() if role := role_of(data.message):
            utterance = Utterance(role, text_of(data.message))
        case _:
            return None
    return utterance if utterance.text.strip() else None
