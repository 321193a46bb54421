"""Whatever had been said, forked and erased before: erased words are nowhere, all others stay."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage

from tests.events.test_erasing import catch_up, require_sound
from tests.everywhere import places_of
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.projections.travel.moments import as_of

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["record", "answer", "fail", "clear", "fork", "erase", "erase", "everything", "work"]
        ),
        st.integers(0, 3),  # which conversation
        st.integers(0, 5),  # which turn
    ),
    max_size=12,
)


class Story:
    """Conversations, what each of them holds, and which continues which."""

    def __init__(self) -> None:
        self.rooms = [Conversation.objects.create()]
        self.held: dict[int, dict[uuid.UUID, str]] = {self.rooms[0].pk: {}}
        self.words: list[str] = []

    def act(self, action: str, number: int, back: int) -> None:
        room = self.rooms[number % len(self.rooms)]
        turns = list(self.held[room.pk])
        if action in ("record", "answer", "fail"):
            self.say(action, room)
        elif action == "clear":
            room.clear()
        elif action == "work":
            catch_up()
        elif action == "fork" and Event.objects.filter(stream_id=room.pk).exists():
            self.fork(room)
        elif action == "everything":
            room.erase(reason="request 7")
            self.forget(room.pk, turns)
            self.held[room.pk] = {}
        elif action == "erase" and turns:
            turn = turns[back % len(turns)]
            room.erase([turn], reason="request 7")
            self.forget(room.pk, [turn])

    def say(self, action: str, room: Conversation) -> None:
        word = f"word{len(self.words)}end"
        self.words.append(word)
        if action == "record":
            turn_id = room.record_turn(word, AIMessage(f"to {word}"))[-1].turn_id
        else:
            turn_id = room.start_turn(word, prompt=Prompt("m", {}, f"Know {word}.")).turn_id
            if action == "answer":
                room.record_turn(word, AIMessage(f"to {word}"), turn_id=turn_id)
            else:
                room.fail_turn(turn_id, "failed", ai_message=AIMessage(f"half {word}"))
        assert turn_id is not None
        self.held[room.pk][turn_id] = word

    def fork(self, room: Conversation) -> None:
        listed = {entry.turn_id for entry in as_of(room).entries}
        fork = room.fork()
        self.rooms.append(fork)
        held = self.held[room.pk]
        self.held[fork.pk] = {turn: word for turn, word in held.items() if turn in listed}

    def forget(self, pk: int, turns: list[Any]) -> None:
        for turn in turns:
            self.held[pk].pop(turn, None)
        for fork in self.rooms:
            if fork.forked_from_id == pk:
                copied = set(
                    Event.objects.filter(
                        stream_id=fork.pk, turn_id__in=turns, metadata__contains="origin"
                    ).values_list("turn_id", flat=True)
                )
                if copied:
                    self.forget(fork.pk, list(copied))


class TheLaw(TestCase):
    @settings(max_examples=40)
    @given(ACTIONS)
    def test_erased_words_are_nowhere_and_all_others_stay(
        self, actions: list[tuple[str, int, int]]
    ) -> None:
        story = Story()
        for action in actions:
            story.act(*action)
        catch_up()
        there = {word for held in story.held.values() for word in held.values()}
        for word in story.words:
            assert bool(places_of(word)) is (word in there), word
        require_sound(*story.rooms)
