"""Opening a page, waking it, starting and recording a turn cost the same in a long conversation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from langchain_core.messages import AIMessage

from tests.reading import reading
from turnlog.consumers.mixins.given import listed_entries
from turnlog.events.models import Conversation
from turnlog.projections.messages.previous import HistoryRule
from turnlog.projections.outline import is_shown
from turnlog.projections.transcript import read_transcript

pytestmark = pytest.mark.django_db

SHORT, LONG = 80, 800


@pytest.fixture
def rooms(user: Any, django_user_model: Any) -> tuple[Any, Any, Any]:
    """A short and a long conversation: Ada says much in them, then Bob and a guest a little."""
    bob = django_user_model.objects.create_user("bob")
    made = []
    for turns in (SHORT, LONG):
        room = Conversation.objects.create()
        with transaction.atomic():
            for said in range(turns):
                if said == 1:
                    for person in (bob, None):
                        room.record_turn("q", AIMessage("a"), user=person)
                room.record_turn("question " * 20, AIMessage("answer " * 50), user=user)
        made.append(room)
    if connection.vendor == "postgresql":  # As its autovacuum does; SQLite waits to be asked.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return made[0], made[1], bob


def last_turn(room: Any) -> Any:
    return read_transcript(room.pk, None, limit=1).turns[-1].turn_id


def given(room: Any, user: Any) -> Any:
    return HistoryRule(max_tokens=1_000).of_newest(partial(listed_entries, room, user))


ACTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "its owner's page": lambda room, ada, bob: read_transcript(room.pk, ada, limit=20),
    "another's page": lambda room, ada, bob: read_transcript(room.pk, bob, limit=20),
    "a stranger's page": lambda room, ada, bob: read_transcript(room.pk, AnonymousUser(), limit=20),
    "earlier turns": lambda room, ada, bob: read_transcript(room.pk, ada, before=60, limit=20),
    "nothing new": lambda room, ada, bob: read_transcript(room.pk, ada, after=10**6, limit=20),
    "whether a turn is shown": lambda room, ada, bob: is_shown(room.pk, last_turn(room)),
    "what a model is given": lambda room, ada, bob: given(room, ada),
    "what a model is given of another": lambda room, ada, bob: given(room, bob),
    "a start": lambda room, ada, bob: room.start_turn("hello", user=ada),
    "a turn": lambda room, ada, bob: room.record_turn("hello", AIMessage("hi"), user=bob),
}


@pytest.mark.parametrize("what", list(ACTS))
def test_it_costs_the_same(what: str, rooms: tuple[Any, Any, Any], user: Any) -> None:
    short, long, bob = rooms
    costs = []
    for room in (short, long):
        with transaction.atomic():
            costs.append(reading(lambda room=room: ACTS[what](room, user, bob)).cost)
            transaction.set_rollback(True)
    assert costs[1] <= 1.2 * costs[0] + 20, costs


def test_the_pages_are_not_empty(rooms: tuple[Any, Any, Any], user: Any) -> None:
    for room in rooms[:2]:
        shown = {
            person: len(read_transcript(room.pk, person, limit=20).turns)
            for person in (user, rooms[2], None)
        }
        assert list(shown.values()) == [20, 1, 1]
