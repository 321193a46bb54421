"""Branches: whatever is replaced, chosen, cleared or recorded late, the list is the current path.

The model is a tree: each turn continues another one, and the last one started or chosen is its tip.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage

from turnlog.events.listed import fold
from turnlog.events.log import read
from turnlog.events.models import Conversation
from turnlog.events.prompt import Prompt
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.registry import named
from turnlog.projections.messages.previous import HistoryRule
from turnlog.projections.models import ConversationMessage
from turnlog.projections.travel.moments import as_of, replay
from turnlog.projections.travel.prompts import prompt_of_turn

pytestmark = pytest.mark.django_db

[MESSAGES] = named(["messages"])

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "again", "again", "choose", "late", "fail", "clear"]),
        st.integers(0, 2),  # who; the last is a guest
        st.integers(0, 5),  # which turn
    ),
    max_size=25,
)


@dataclass(eq=False)
class Said:
    """A turn of the model: what it continues, and the tip that it had when it was last left."""

    turn_id: uuid.UUID
    parent: Said | None
    place: list[Said]
    """The turns that can stand in its place, this one among them."""
    listed: bool = True
    tip: Said | None = None

    @property
    def path(self) -> list[Said]:
        return [*(self.parent.path if self.parent else ()), self]


@dataclass
class Person:
    """What one person said since the last clearing, and where they are."""

    user: Any
    tip: Said | None = None
    late: list[Said] = field(default_factory=list)

    @property
    def path(self) -> list[Said]:
        return self.tip.path if self.tip else []

    def say(self, turn_id: uuid.UUID, instead_of: Said | None = None) -> Said:
        self.leave()
        parent = self.tip if instead_of is None else instead_of.parent
        place = [] if instead_of is None else instead_of.place
        self.tip = Said(turn_id, parent, place)
        place.append(self.tip)
        return self.tip

    def choose(self, said: Said) -> None:
        self.leave()
        self.tip = said.tip

    def leave(self) -> None:
        for said in self.path:
            said.tip = self.tip


class TheLaw(TestCase):
    """SQL == fold == tree, at the head and at each version before; and so is what a model saw."""

    def setUp(self) -> None:
        users = get_user_model().objects
        self.users = [*(users.create_user(name) for name in ("ada", "bob")), None]

    @settings(max_examples=40)
    @given(ACTIONS)
    def test_the_list_is_the_current_path(self, actions: list[tuple[str, int, int]]) -> None:
        self.room = Conversation.objects.create()
        self.room.clear()
        self.people = [Person(user) for user in self.users]
        given: dict[uuid.UUID, list[str]] = {}
        seen: dict[int, list[Any]] = {}
        for action, who, which in actions:
            self.act(action, self.people[who], which, given)
            for person in self.people:
                assert self.shown(person.user) == self.expected(person)
            head = as_of(self.room)
            seen[head.version] = list(head.entries)
        self.the_readers_agree(seen)
        for turn_id, texts in given.items():
            messages = prompt_of_turn(self.room.pk, turn_id).messages
            assert [message.content for message in messages] == [*texts, str(turn_id)]

    def act(self, action: str, person: Person, which: int, given: dict[Any, list[str]]) -> None:
        path = person.path
        if action in ("again", "choose") and not path:
            return
        if action == "clear":
            self.room.clear()
            for each in self.people:
                each.tip, each.late = None, []
        elif action == "choose":
            said = path[which % len(path)]
            other = said.place[which % len(said.place)]
            self.room.choose_branch(other.turn_id, user=person.user)
            if other is not said:
                person.choose(other)
        elif action == "late":
            if person.late:
                said = person.late.pop()
                self.record(person, said.turn_id)
                said.listed = True
        else:
            replaced = path[which % len(path)] if action == "again" else None
            said = self.start(person, replaced, given)
            if action == "fail":
                self.room.fail_turn(said.turn_id, "interrupted")
                said.listed = False
                person.late.append(said)
            else:
                self.record(person, said.turn_id)

    def start(self, person: Person, replaced: Said | None, given: dict[Any, list[str]]) -> Said:
        said = person.say(uuid.uuid4(), replaced)
        before = self.expected(Person(person.user, said.parent))
        given[said.turn_id] = before
        instead_of = replaced.turn_id if replaced else None

        def prompt() -> Prompt:
            entries = [e for e in as_of(self.room).of(person.user).entries if self.has(said, e)]
            return Prompt(previous=HistoryRule().of_entries(entries).described())

        self.room.start_turn(
            str(said.turn_id),
            user=person.user,
            turn_id=said.turn_id,
            prompt=prompt,
            instead_of=instead_of,
        )
        return said

    def has(self, said: Said, entry: Any) -> bool:
        return entry.turn_id in {each.turn_id for each in (said.parent.path if said.parent else ())}

    def record(self, person: Person, turn_id: uuid.UUID) -> None:
        text = str(turn_id)
        self.room.record_turn(text, AIMessage(f"re: {text}"), user=person.user, turn_id=turn_id)

    def expected(self, person: Person) -> list[str]:
        listed = [said for said in person.path if said.listed]
        by_version = {e.turn_id: e.version for e in read(self.room.pk) if is_message(e)}
        listed.sort(key=lambda said: by_version[said.turn_id])
        return [text for said in listed for text in (str(said.turn_id), f"re: {said.turn_id}")]

    def shown(self, user: Any) -> list[str]:
        found = ConversationMessage.objects.get_histories(self.room, user)
        return [message.content for message in found]

    def the_readers_agree(self, seen: dict[int, list[Any]]) -> None:
        if not seen:
            return
        kept = list(ConversationMessage.objects.values_list("version", flat=True))
        assert kept == [entry.version for entry in fold(read(self.room.pk))]
        assert differences(MESSAGES, [self.room.pk]) == {}
        states = {state.version: list(state.entries) for state in replay(self.room)}
        for version, entries in seen.items():
            assert list(as_of(self.room, version).entries) == entries == states[version]
        call_command("rebuild_projections", "messages", stdout=StringIO())
        assert list(ConversationMessage.objects.values_list("version", flat=True)) == kept
        ConversationMessage.objects.all().delete()
        call_command("rebuild_projections", "messages", stdout=StringIO())
        assert list(ConversationMessage.objects.values_list("version", flat=True)) == kept


def is_message(event: Any) -> bool:
    return bool(event.type == "MessageAppended")
