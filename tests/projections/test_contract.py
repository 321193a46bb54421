"""The contract of every projection, ours and a stranger's, on every database.

Followed, rebuilt or applied in any pieces, its rows are the same; and what is erased is gone.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage

from turnlog.core.errors import TurnInProgress
from turnlog.events.models import Conversation
from turnlog.events.store.sequence import sequence
from turnlog.projections.engine import worker
from turnlog.projections.engine.applying import apply_or_park
from turnlog.projections.engine.checking import differences, rows
from turnlog.projections.engine.chunks import rebuild_chunk
from turnlog.projections.engine.projection import Projection
from turnlog.projections.engine.reading import events_between, last_position
from turnlog.projections.engine.registry import registered
from turnlog.projections.engine.worker import Worker

SECRET = "pomegranate"
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["start", "record", "finish", "fail", "clear", "follow", "erase"]),
        st.integers(0, 1),  # which conversation
        st.integers(0, 2),  # which person; the last is a guest
    ),
    max_size=15,
)


class Story:
    """Two conversations, three people, and what they do."""

    def __init__(self) -> None:
        users = get_user_model().objects
        self.people: list[Any] = [users.create_user(name) for name in ("ada", "bob")] + [None]
        self.rooms = [Conversation.objects.create() for _ in range(2)]
        self.open: list[list[uuid.UUID]] = [[], []]
        self.turns: list[list[uuid.UUID]] = [[], []]
        self.said = 0

    @property
    def streams(self) -> list[int]:
        return [room.pk for room in self.rooms]

    def act(self, action: str, number: int, person: int) -> None:
        room, user = self.rooms[number], self.people[person]
        self.said += 1
        text = f"{SECRET} {self.said}"
        if action == "start":
            try:
                turn_id = room.start_turn(text, user=user).turn_id
            except TurnInProgress:
                return
            self.open[number].append(turn_id)
            self.turns[number].append(turn_id)
        elif action == "record":
            outputs = [{"tool": "look", "output": text}]
            events = room.record_turn(text, AIMessage(text), outputs, user=user)
            self.turns[number].append(events[-1].turn_id)
        elif action == "clear":
            room.clear(by=user)
        elif action == "erase":
            for turn_id in self.open[number]:
                room.fail_turn(turn_id, "cancelled")
            self.open[number] = []
            room.erase(self.turns[number], reason="request 7")
        elif action == "follow":
            Worker(registered()).turn()
        elif self.open[number]:
            turn_id = self.open[number].pop()
            if action == "finish":
                room.record_turn(text, AIMessage(text), user=user, turn_id=turn_id)
            else:
                room.fail_turn(turn_id, "failed", ai_message=AIMessage(text))


def held(projection: Projection, streams: list[int]) -> Any:
    """A projection's rows, in an order that does not depend on how they came about."""
    found = rows(projection, streams)
    return {pk: sorted(repr(sorted(row.items())) for row in found[pk]) for pk in streams}


class TheContract(TestCase):
    @settings(max_examples=30)  # Of all projections, each time.
    @given(ACTIONS, st.integers(1, 7))
    def test_of_every_projection(self, actions: list[tuple[str, int, int]], size: int) -> None:
        story = Story()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "BATCH", size)
            for action in actions:
                story.act(*action)
            Worker(registered()).catch_up()
        for projection in registered():
            followed = held(projection, story.streams)
            assert differences(projection, story.streams) == {}, projection.name
            rebuild_chunk(projection, story.streams)
            assert held(projection, story.streams) == followed, projection.name
            projection.reset(story.streams)
            assert held(projection, story.streams) == {pk: [] for pk in story.streams}
            for start in range(0, last_position(), size):
                apply_or_park(projection, events_between(start, start + size, projection))
            assert held(projection, story.streams) == followed, projection.name

    @settings(max_examples=20)
    @given(ACTIONS)
    def test_what_is_erased_is_in_no_row(self, actions: list[tuple[str, int, int]]) -> None:
        story = Story()
        for action in actions:
            story.act(*action)
        sequence()
        Worker(registered()).catch_up()
        for number in (0, 1):
            story.act("erase", number, 0)
        for projection in registered():
            assert differences(projection, story.streams) == {}, projection.name
        assert SECRET not in everything()


def everything() -> str:
    """All that stands in the read models' tables, as text."""
    found = []
    with connection.cursor() as cursor:
        for projection in registered():
            if projection.model is not None:
                cursor.execute(f"SELECT * FROM {projection.model._meta.db_table}")
                found += cursor.fetchall()
    return repr(found)
