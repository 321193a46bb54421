"""What is given for a turn is what the function takes, or is refused before anything is written."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
)

from turnlog.core.errors import ArgumentError, TurnlogError
from turnlog.events.models import Actor, Content, Event, Runner
from turnlog.events.prompt import Prompt
from turnlog.projections.models import ConversationMessage
from turnlog.projections.transcript import read_transcript

pytestmark = pytest.mark.django_db

WRONG: list[Any] = [
    ("start_turn", (7,), {}, "human_message: expected text or a HumanMessage, found 7;"),
    ("start_turn", (None,), {}, "human_message: expected text or a HumanMessage, found NoneType"),
    ("start_turn", (AIMessage("a"),), {}, "human_message: .* found AIMessage"),
    ("start_turn", (["a"],), {}, "human_message: .* found list"),
    ("start_turn", ("a",), {"turn_id": "1"}, r"turn_id: expected a uuid.UUID or None, found '1'"),
    ("start_turn", ("a",), {"user": "ada"}, "user: expected a user of Django's, or None, found"),
    ("start_turn", ("a",), {"metadata": {1: 2}}, "metadata: expected a dictionary with text keys"),
    ("start_turn", ("a",), {"metadata": "m"}, "metadata: .* found 'm'"),
    ("record_turn", (SystemMessage("a"), "b"), {}, "human_message: .* found SystemMessage"),
    ("record_turn", ("a", None), {}, "ai_message: expected text or an AIMessage, found NoneType"),
    ("record_turn", ("a", HumanMessage("b")), {}, "ai_message: .* found HumanMessage"),
    ("record_turn", ("a", "b", 7), {}, "tools_output_list"),
    ("record_turn", ("a", "b", [7]), {}, r"tools_output_list\[0\]"),
    ("record_turn", ("a", "b", "text"), {}, "tools_output_list"),
    ("record_turn", ("a", "b"), {"turn_id": 1}, "turn_id: .* found 1"),
    ("fail_turn", (None,), {}, "turn_id: expected a uuid.UUID, found NoneType"),
    (
        "fail_turn",
        (uuid.uuid4(), "exploded"),
        {},
        "outcome: .* 'failed', .* 'exploded'",
    ),
    ("fail_turn", (uuid.uuid4(),), {"error": "oops"}, "error: expected a dictionary of texts"),
    ("fail_turn", (uuid.uuid4(),), {"error": {"type": "E"}}, "error: .* with 'type' and 'text'"),
    ("fail_turn", (uuid.uuid4(),), {"ai_message": 7}, "ai_message: .* found 7"),
    ("clear", (), {"by": "ada"}, "by: expected a user"),
    ("clear", (), {"reason": None}, "reason: expected text, found NoneType"),
]


@pytest.mark.parametrize(("method", "arguments", "options", "sentence"), WRONG)
def test_what_a_function_does_not_take_is_refused_by_name(
    conversation: Any, method: str, arguments: Any, options: Any, sentence: str
) -> None:
    actors = Actor.objects.count()
    with pytest.raises(TurnlogError, match=sentence):
        getattr(conversation, method)(*arguments, **options)
    for written in (Event, ConversationMessage, Content, Runner):
        assert not written.objects.exists()  # type: ignore[attr-defined]
    assert Actor.objects.count() == actors


@pytest.mark.parametrize(
    "previous",
    [
        [],
        {},
        {"messages": "a"},
        {"messages": [None]},
        {"messages": [True]},
        {"messages": [], "tools": True},
        {"tools": True, "since": 0},
        {"tools": 1, "since": 0, "until": 0},
        {"tools": True, "since": "0", "until": 0},
    ],
)
def test_previous_messages_that_nobody_could_recover_are_refused(
    conversation: Any, previous: Any
) -> None:
    with pytest.raises(ArgumentError, match=r"prompt\.previous: expected a HistoryRule's"):
        conversation.start_turn("a", prompt=Prompt(previous=previous))
    assert not Event.objects.filter(type="TurnStarted").exists()


def test_an_argument_error_is_a_type_error_too(conversation: Any) -> None:
    with pytest.raises(TypeError) as caught:
        conversation.start_turn(object())
    assert isinstance(caught.value, ArgumentError)
    assert caught.value.name == "human_message"


def test_text_and_messages_and_chunks_of_them_are_taken(conversation: Any) -> None:
    conversation.record_turn("a", "b")
    conversation.record_turn(HumanMessage("a"), AIMessage("b"))
    conversation.record_turn(HumanMessageChunk("a"), AIMessageChunk("b"))
    turn = conversation.start_turn("a", prompt=Prompt())
    conversation.fail_turn(turn.turn_id, ai_message="half")
    said = [message.content.content for message in conversation.messages.order_by("version")]
    assert said == ["a", "b"] * 3


def test_what_an_older_version_stored_in_spite_of_that_still_opens(
    conversation: Any, user: Any
) -> None:
    """Before arguments were checked, anything that the codec takes was a message."""
    from turnlog.events.log import NewEvent, append
    from turnlog.events.types import MessageAppended, TurnFailed, TurnStarted

    actor = Actor.objects.id_of(user)
    for document in (7, None, "text", [1], {"a": 1}, {"_type": "list", "_value": 3}):
        started, recorded = uuid.uuid4(), uuid.uuid4()
        failed = TurnFailed("failed", {"message": document, "tools": []}, None)
        append(conversation.pk, [NewEvent(TurnStarted(document), started, actor)])
        append(conversation.pk, [NewEvent(failed, started, actor)])
        batch = [NewEvent(MessageAppended(document), recorded, actor) for _ in range(2)]
        append(conversation.pk, batch)
    conversation.record_turn("hello", "hi", user=user)
    transcript = read_transcript(conversation.pk, user, limit=50)
    assert transcript.turns[-1].standing == "completed"
    assert len(ConversationMessage.objects.get_histories(conversation, user)) >= 2
    from turnlog.consumers.page.turn_view import view_of
    from turnlog.projections import HistoryRule, as_of

    views = [view_of(turn, show_initial_prompt=True) for turn in transcript.turns]
    assert len(views) == 13
    given = HistoryRule(tools=True).of_entries(as_of(conversation).entries).messages
    assert [message.content for message in given][-2:] == ["hello", "hi"]
