"""What a person sees of a conversation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage

from turnlog.events.log import read
from turnlog.events.models import Conversation
from turnlog.projections.transcript import Transcript, fold_turns, read_transcript

pytestmark = pytest.mark.django_db


def transcript(conversation: Any, user: Any, **options: Any) -> Transcript:
    return read_transcript(conversation.pk, user, **{"limit": 50, **options})


def standings(conversation: Any, user: Any, **options: Any) -> list[str]:
    return [turn.standing for turn in transcript(conversation, user, **options).turns]


def test_every_way_a_turn_can_end_is_shown_with_the_persons_words(
    conversation: Any, user: Any
) -> None:
    conversation.record_turn("direct", AIMessage("ok"), user=user)
    for outcome in ("failed", "cancelled", "interrupted", "unrecorded"):
        turn = conversation.start_turn(outcome, user=user)
        conversation.fail_turn(turn.turn_id, outcome, ai_message=AIMessage("half"))
    conversation.start_turn("still open", user=user)
    turns = transcript(conversation, user).turns
    assert [turn.standing for turn in turns] == [
        *("completed", "failed", "cancelled", "interrupted", "unrecorded", "open")
    ]
    words = [turn.human["_value"]["content"] for turn in turns]
    assert words == ["direct", "failed", "cancelled", "interrupted", "unrecorded", "still open"]
    assert turns[1].answer["_value"]["content"] == "half"


def test_a_late_answer_replaces_the_interruption(conversation: Any, user: Any) -> None:
    turn = conversation.start_turn("a", user=user)
    conversation.fail_turn(
        turn.turn_id, "interrupted", tools_output_list=[{"tool": "t", "output": 1}]
    )
    tools = [{"tool": "t", "output": 1}, {"tool": "u", "output": 2}]
    conversation.record_turn("a", AIMessage("late"), tools, user=user, turn_id=turn.turn_id)
    [shown] = transcript(conversation, user).turns
    assert shown.standing == "completed"
    assert [tool["tool"] for tool in shown.tools] == ["t", "u"]


def test_only_ones_own_turns_and_only_since_the_clearing(
    conversation: Any, user: Any, django_user_model: Any
) -> None:
    other = django_user_model.objects.create_user("other")
    conversation.record_turn("cleared", AIMessage("ok"), user=user)
    running = conversation.start_turn("cleared while it ran", user=user)
    conversation.clear()
    conversation.record_turn("x", AIMessage("ok"), user=user, turn_id=running.turn_id)
    conversation.record_turn("others", AIMessage("ok"), user=other)
    conversation.record_turn("mine", AIMessage("ok"), user=user)
    seen = transcript(conversation, user)
    assert [turn.human["_value"]["content"] for turn in seen.turns] == ["mine"]
    assert (seen.cleared, seen.head, seen.more) == (5, 11, False)


def test_an_open_turn_is_always_among_what_is_new(conversation: Any, user: Any) -> None:
    conversation.record_turn("a", AIMessage("b"), user=user)
    turn = conversation.start_turn("c", user=user)
    assert standings(conversation, user, after=turn.event.version) == ["open"]
    conversation.fail_turn(turn.turn_id, "cancelled")
    assert standings(conversation, user, after=turn.event.version) == ["cancelled"]
    assert standings(conversation, user, after=turn.event.version + 1) == []


def test_a_turn_that_ended_behind_many_others_is_not_left_out(conversation: Any, user: Any) -> None:
    """As many newer events as are read at once, and a cursor in the middle of the turn."""
    tools = [{"tool": "t", "output": 1}] * 4
    turn = conversation.start_turn("a", user=user)
    conversation.record_turn("a", AIMessage("b"), tools, user=user, turn_id=turn.turn_id)
    assert standings(conversation, user, after=turn.event.version, limit=1) == ["completed"]


def test_an_earlier_turn_is_shown_as_it_ended_in_the_end(conversation: Any, user: Any) -> None:
    turn = conversation.start_turn("a", user=user)
    conversation.fail_turn(turn.turn_id, "interrupted")
    other = conversation.record_turn("b", AIMessage("c"), user=user)
    conversation.record_turn("a", AIMessage("late"), user=user, turn_id=turn.turn_id)
    assert standings(conversation, user, before=other[0].version) == ["completed"]


def test_it_takes_three_queries(
    conversation: Any, user: Any, django_assert_num_queries: Any
) -> None:
    for _ in range(60):
        conversation.record_turn("a", AIMessage("b"), user=user)
    with django_assert_num_queries(3):
        assert len(transcript(conversation, user).turns) == 50


class Paging(TestCase):
    """Going back page by page shows every turn once, whatever their sizes."""

    @given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 4))
    def test_pages_add_up(self, sizes: list[int], limit: int) -> None:
        conversation = Conversation.objects.create()
        for tools in sizes:
            outputs = [{"tool": "t", "output": 1}] * tools
            conversation.record_turn("a", AIMessage("b"), outputs)
        whole = fold_turns(read(conversation.pk))
        found: list[Any] = []
        before = None
        while True:
            page = read_transcript(conversation.pk, None, before=before, limit=limit)
            assert len(page.turns) <= limit
            found = [*page.turns, *found]
            assert page.more == (len(found) < len(whole))
            if not page.more:
                break
            before = page.turns[0].first
        assert found == whole
