"""A queue against a small model of it: whatever people do in whatever order."""

from __future__ import annotations

import datetime as dt
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import override_settings
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.projections.queues import (
    CALM,
    RUDE,
    SCORES,
    Clock,
    counts,
    filled,
    next_of,
    rooms,
    stream_of,
)
from turnlog.core.errors import QueueRefused
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.registry import named
from turnlog.projections.queues import acts
from turnlog.projections.queues.deciding import LOCK_SECONDS

pytestmark = pytest.mark.django_db

ITEMS, PEOPLE = 3, 3
WHO, WHICH = st.integers(0, PEOPLE - 1), st.integers(0, ITEMS - 1)
GIVEN = st.sampled_from([CALM, RUDE])


@dataclass
class Item:
    state: str = "open"
    given: dict[int, Any] = field(default_factory=dict)
    until: dict[int, dt.datetime] = field(default_factory=dict)


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(transaction.atomic())
        self.stack.callback(transaction.set_rollback, True)
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.stack.enter_context(override_settings(TURNLOG={"SCORES": SCORES}))
        self.clock = Clock(patch)
        self.active = True
        self.number = 0

    def teardown(self) -> None:
        with self.stack:
            self.require_the_same_rows_after_a_rebuild()

    @initialize(reviewers=st.integers(1, 3))
    def fill(self, reviewers: int) -> None:
        self.reviewers = reviewers
        self.people = [User.objects.create_user(f"reviewer {n}") for n in range(PEOPLE)]
        self.rooms = [room.pk for room in rooms(ITEMS, self.people[0])]
        self.number = filled(self.people[0], reviewers=reviewers)
        self.items = [Item() for _ in self.rooms]

    def working(self, item: Item) -> set[int]:
        return {who for who, until in item.until.items() if until > self.clock.now}

    def free(self, item: Item, who: int) -> bool:
        others = self.working(item) - {who}
        room = len(item.given) + len(others) < self.reviewers
        return self.active and item.state == "open" and who not in item.given and room

    def claim(self, which: int, who: int) -> None:
        for item in self.items:
            item.until.pop(who, None)
        self.items[which].until[who] = self.clock.now + dt.timedelta(seconds=LOCK_SECONDS)

    def attempt(self, allowed: bool, act: Any) -> bool:
        if not allowed:
            with pytest.raises(QueueRefused):
                act()
            return False
        act()
        return True

    @rule(who=WHO, which=WHICH)
    def take(self, who: int, which: int) -> None:
        def act() -> None:
            acts.take(self.number, self.rooms[which], by=self.people[who])

        item = self.items[which]
        had = who in self.working(item)
        left = item.until.get(who)
        if self.attempt(self.free(item, who), act):
            self.claim(which, who)
            if had and left and left - self.clock.now >= dt.timedelta(seconds=600):
                item.until[who] = left

    @rule(who=WHO, after=st.none() | st.integers(1, ITEMS))
    def take_next(self, who: int, after: int | None) -> None:
        if not self.active:
            with pytest.raises(QueueRefused):
                next_of(self.number, self.people[who], after)
            return
        mine = [n for n, item in enumerate(self.items) if who in self.working(item)]
        free = [n for n, item in enumerate(self.items) if self.free(item, who)]
        behind = [n for n in free if n + 1 > (after or 0)]
        expected = mine if after is None and mine else behind or free
        taken = next_of(self.number, self.people[who], after).conversation
        assert taken == (self.rooms[expected[0]] if expected else None)
        if expected:
            item = self.items[expected[0]]
            left = item.until.get(who)
            had = who in self.working(item)
            self.claim(expected[0], who)
            if had and left and left - self.clock.now >= dt.timedelta(seconds=600):
                item.until[who] = left

    @rule(who=WHO, which=WHICH, scores=GIVEN)
    def complete(self, who: int, which: int, scores: Any) -> None:
        def act() -> None:
            acts.complete(self.number, self.rooms[which], scores, by=self.people[who])

        item = self.items[which]
        if self.attempt(self.free(item, who), act):
            item.given[who] = scores
            item.until.pop(who, None)
            if len(item.given) == self.reviewers:
                same = all(each == scores for each in item.given.values())
                item.state = "completed" if same else "awaiting"
                item.until.clear()

    @rule(who=WHO, which=WHICH)
    def leave(self, who: int, which: int) -> None:
        acts.leave(self.number, self.rooms[which], by=self.people[who])
        if who in self.working(self.items[which]):
            del self.items[which].until[who]

    @rule(who=WHO, which=WHICH)
    def flag(self, who: int, which: int) -> None:
        def act() -> None:
            acts.flag(self.number, self.rooms[which], "odd", by=self.people[who])

        item = self.items[which]
        if self.attempt(self.active and item.state != "completed", act):
            item.state = "flagged"
            item.until.clear()

    @rule(which=WHICH)
    def put_back(self, which: int) -> None:
        def act() -> None:
            acts.put_back(self.number, self.rooms[which], by=self.people[0])

        item = self.items[which]
        if self.attempt(self.active and item.state == "flagged", act):
            item.state = "open" if len(item.given) < self.reviewers else "awaiting"

    @rule(which=WHICH, scores=GIVEN)
    def resolve(self, which: int, scores: Any) -> None:
        def act() -> None:
            acts.resolve(self.number, self.rooms[which], scores, by=self.people[0])

        item = self.items[which]
        if self.attempt(self.active and item.state in ("awaiting", "flagged"), act):
            item.state = "completed"

    @rule(active=st.booleans())
    def pause(self, active: bool) -> None:
        acts.set_state(self.number, "active" if active else "paused", by=self.people[0])
        self.active = active

    @rule(minutes=st.integers(1, 15))
    def wait(self, minutes: int) -> None:
        self.clock.go(minutes=minutes)

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        wanted: dict[str, int] = {}
        for item in self.items:
            begun = bool(item.given) or bool(self.working(item))
            status = item.state if item.state != "open" else "in_progress" if begun else "pending"
            wanted[status] = wanted.get(status, 0) + 1
            assert len(item.given) <= self.reviewers
        assert counts(self.number) == wanted

    def require_the_same_rows_after_a_rebuild(self) -> None:
        for projection in named(["queues", "queue_items", "queue_marks"]):
            assert differences(projection, [stream_of(self.number)]) == {}, projection.name


def test_a_queue_does_what_its_model_does() -> None:
    run_state_machine_as_test(
        QueueMachine, settings=settings(max_examples=30, stateful_step_count=25, deadline=None)
    )
