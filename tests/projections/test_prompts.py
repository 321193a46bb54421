"""What a turn's model was given, from the log alone: exactly, whatever happened since."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from tests.events.proof.administrator import execute
from turnlog.core import codec
from turnlog.core.errors import MomentError
from turnlog.events.models import Content, Conversation, Event
from turnlog.events.prompt import Prompt, StalePrompt
from turnlog.events.types import TurnStarted
from turnlog.projections.messages.previous import HistoryRule
from turnlog.projections.travel.moments import as_of
from turnlog.projections.travel.prompts import PromptLost, described

pytestmark = pytest.mark.django_db

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "fail", "record", "clear", "across", "erase"]),
        st.integers(0, 2),  # which user; the last is a guest
        st.booleans(),  # with tools
        st.sampled_from([None, 0, 25, 60]),  # tokens at most
    ),
    min_size=1,
    max_size=12,
)


class TheLaw(TestCase):
    """prompt() is what was given when the turn began, but for what was erased since."""

    @settings(max_examples=60)
    @given(ACTIONS)
    def test_a_prompt_is_what_was_given(self, actions: Any) -> None:
        users = get_user_model().objects
        people = [*(users.create_user(name) for name in ("ada", "bob")), None]
        life = Life(Conversation.objects.create())
        for number, (action, person, tools, max_tokens) in enumerate(actions):
            life.act(action, f"{action} {number}", people[person], HistoryRule(tools, max_tokens))
        for version, messages in life.given.items():
            for at in (version, as_of(life.room).version):
                if at == version or version == max(life.given):
                    life.require(at, messages)


class Life:
    """A conversation, and what the model was given in its turns, by the version of their start."""

    def __init__(self, room: Conversation) -> None:
        self.room = room
        self.given: dict[int, list[Any]] = {}
        self.erased: set[str] = set()

    def act(self, action: str, text: str, user: Any, rule: HistoryRule) -> None:
        if action == "clear":
            self.room.clear(by=user)
        elif action == "record":
            self.record(text, user)
        elif action == "erase":
            self.erase_oldest()
        else:
            self.take_turn(action, text, user, rule)

    def take_turn(self, action: str, text: str, user: Any, rule: HistoryRule) -> None:
        previous, read_at = read(self.room, user, rule)
        prompt = Prompt("m", previous=previous.described(), read_at=read_at)
        turn = self.room.start_turn(text, user=user, prompt=prompt)
        self.given[turn.event.version] = [*previous.messages, HumanMessage(text)]
        if action == "across":
            self.room.clear(by=user)
        if action == "fail":
            self.room.fail_turn(turn.turn_id)
        else:
            self.record(text, user, turn_id=turn.turn_id)

    def record(self, text: str, user: Any, **more: Any) -> None:
        output = {"tool": "t", "tool_call_id": "c", "input": {"a": 1}, "output": f"of {text}"}
        self.room.record_turn(text, AIMessage(f"to {text}"), [output], user=user, **more)

    def erase_oldest(self) -> None:
        stream = Event.objects.filter(stream_id=self.room.pk, payload__isnull=False)
        oldest = stream.filter(type="MessageAppended").order_by("version").first()
        if oldest is not None:
            self.erased.add(json_text(oldest))
            self.room.erase([oldest.turn_id], reason="request 7")

    def require(self, version: int, messages: list[Any]) -> None:
        if messages[-1].content in self.erased:
            with pytest.raises(PromptLost, match="it is erased"):
                as_of(self.room, version).prompt()
            return
        found = as_of(self.room, version).prompt().messages
        assert comparable(found) == comparable(self.without_erased(messages))

    def without_erased(self, messages: list[Any]) -> list[Any]:
        kept, hidden = [], False
        for message in messages:
            if isinstance(message, HumanMessage):
                hidden = message.content in self.erased
            if not hidden:
                kept.append(message)
        return kept


def json_text(event: Event) -> str:
    text: str = codec.loads(event.payload or "").content
    return text


def read(room: Conversation, user: Any, rule: HistoryRule) -> Any:
    """What a rule makes of the list, and the version it was read at."""
    if not Event.objects.filter(stream_id=room.pk).exists():
        return rule.of_entries([]), 0
    state = as_of(room)
    return rule.of_entries(state.of(user).entries), state.version


def comparable(messages: list[Any]) -> list[Any]:
    """Without the calls' numbers: they are counted anew where an earlier one is erased."""
    return [
        (type(m), m.content, [call["args"] for call in getattr(m, "tool_calls", ())])
        for m in messages
    ]


def start(room: Any, text: str = "now", user: Any = None, **prompt: Any) -> Any:
    return room.start_turn(text, user=user, prompt=Prompt(**prompt))


NOTHING = {"tools": False, "since": 0, "until": 0}


def test_all_that_the_server_is_sent(conversation: Any, user: Any) -> None:
    tools = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]
    conversation.record_turn("a", AIMessage("b"), user=user)
    turn = start(
        conversation,
        user=user,
        model="gpt-4o",
        parameters={"temperature": 0.5, "stop": ["."]},
        system_prompt="You are a clock.",
        tools=tools,
        previous={"tools": False, "since": 2, "until": 3},
    )
    found = as_of(conversation).prompt()
    assert (found.conversation_id, found.turn_id) == (conversation.pk, turn.turn_id)
    assert found.version == turn.event.version
    assert (found.model, found.parameters) == ("gpt-4o", {"temperature": 0.5, "stop": ["."]})
    assert (found.system_prompt, found.tools) == ("You are a clock.", tools)
    assert found.messages == [
        SystemMessage("You are a clock."),
        HumanMessage("a"),
        AIMessage("b"),
        HumanMessage("now"),
    ]


def test_the_turn_is_the_last_that_had_begun(conversation: Any) -> None:
    for text in ("one", "two"):
        turn = start(conversation, text, previous=NOTHING)
        conversation.record_turn(text, AIMessage("ok"), turn_id=turn.turn_id)
    texts = [as_of(conversation, v).prompt().messages[-1].content for v in range(2, 8)]
    assert texts == ["one"] * 3 + ["two"] * 3


def test_messages_of_ones_own_are_kept_by_version_or_whole(conversation: Any, user: Any) -> None:
    for _ in range(2):
        conversation.record_turn("same", AIMessage("words"), user=user)
    entries = as_of(conversation).entries
    ruled = HistoryRule().of_entries(entries)
    summary = SystemMessage("They said the same twice.")
    own = [*ruled.messages[2:], summary, *ruled.messages[1:], HumanMessage("new")]
    previous = described(own, ruled, entries)
    # Of what was said twice, the one that fits before what follows.
    new = codec.encode(own[-1])
    assert previous == {"messages": [4, 5, codec.encode(summary), 3, 4, 5, new]}
    start(conversation, user=user, previous=previous)
    assert as_of(conversation).prompt().messages[:-1] == own


def test_the_rules_own_messages_are_known_even_as_another_list(conversation: Any) -> None:
    conversation.record_turn("a", AIMessage("b"))
    entries = as_of(conversation).entries
    ruled = HistoryRule().of_entries(entries)
    same = [message.model_copy() for message in ruled.messages]
    assert described(same, ruled, entries) == ruled.described()
    same[0].content = "changed in place"
    previous = described(same, ruled, entries)
    assert previous == {"messages": [codec.encode(same[0]), 3]}


def test_an_erased_message_is_left_out_of_ones_own_list(conversation: Any) -> None:
    note = codec.encode(AIMessage("kept"))
    # Given before the secret was told, so it cannot quote it.
    early = start(conversation, previous={"messages": [note]})
    conversation.fail_turn(early.turn_id)
    [secret, _] = conversation.record_turn("secret", AIMessage("quiet"))
    [_, answer] = conversation.record_turn("a", AIMessage("b"))
    given = {"messages": [secret.version, note, answer.version]}
    conversation.fail_turn(start(conversation, previous=given).turn_id)
    conversation.erase([secret.turn_id], reason="request 7")
    texts = [message.content for message in as_of(conversation).prompt().messages]
    assert texts == ["kept", "b", "now"]


def test_before_any_turn_there_is_no_prompt(conversation: Any) -> None:
    conversation.record_turn("a", AIMessage("b"))
    with pytest.raises(MomentError, match=r"found none up to version 3; .* record_turn\(\)"):
        as_of(conversation).prompt()


def test_what_was_not_said_is_not_made_up(conversation: Any) -> None:
    conversation.start_turn("a")
    with pytest.raises(PromptLost, match=r"started without the previous messages"):
        as_of(conversation).prompt()


def test_a_text_that_is_missing_or_another_is_said(conversation: Any) -> None:
    start(conversation, system_prompt="You are a clock.", previous=NOTHING)
    kept = Content.objects.get()
    execute("UPDATE turnlog_content SET text = 'You are a pirate.'")
    with pytest.raises(PromptLost, match=f"another text under {kept.pk}"):
        as_of(conversation).prompt()
    Content.objects.all().delete()
    with pytest.raises(PromptLost, match=f"no text {kept.pk}; restore the table") as caught:
        as_of(conversation).prompt()
    assert caught.value.stream_id == conversation.pk


def test_a_turn_is_refused_if_the_conversation_went_on(conversation: Any) -> None:
    conversation.record_turn("a", AIMessage("b"))
    with pytest.raises(StalePrompt) as caught:
        start(conversation, previous=NOTHING, read_at=2)
    assert (caught.value.read_at, caught.value.actual) == (2, 3)
    assert as_of(conversation).version == 3
    assert start(conversation, previous=NOTHING, read_at=3).created


def test_what_it_says_does_not_grow_with_the_conversation(conversation: Any, user: Any) -> None:
    sizes = set()
    for number in range(10, 13):
        for _ in range(number):
            conversation.record_turn("a", AIMessage("b" * 100), user=user)
        ruled = HistoryRule().of_entries(as_of(conversation).entries)
        data = TurnStarted("x", previous=ruled.described())
        sizes.add(len(codec.to_json(data.payload())))
    assert max(sizes) - min(sizes) <= 2


def test_a_turn_that_was_closed_and_then_recorded_has_its_calls_once(
    conversation: Any, user: Any
) -> None:
    """A process was silent for too long, and then finished its turn after all."""
    call = {"name": "look", "args": {}, "id": "call-1"}
    asking, answer = AIMessage("Let me look.", tool_calls=[call]), AIMessage("It is noon.")
    outputs = [{"tool": "look", "tool_call_id": "call-1", "output": "12:00"}]
    prompt = Prompt("gpt-4o", previous={"tools": False, "since": 0, "until": 0})
    turn = conversation.start_turn("What time is it?", user=user, prompt=prompt)
    given = {"tools_output_list": outputs, "rounds": [asking]}
    conversation.fail_turn(turn.turn_id, "interrupted", **given)
    assert as_of(conversation).prompt().call == 2
    conversation.record_turn(
        "What time is it?", answer, outputs, turn_id=turn.turn_id, rounds=[asking, answer]
    )
    second = as_of(conversation).prompt()
    assert second.call == 2
    assert [message.type for message in second.messages] == ["human", "ai", "tool"]
    with pytest.raises(MomentError, match="from 1 to 2"):
        as_of(conversation).prompt(3)
