"""The message list: what is kept, what a rebuild makes and what the fold says are one."""

from __future__ import annotations

import json
import threading
import uuid
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables.utils import AddableDict

from turnlog.core.errors import TurnInProgress
from turnlog.events.listed import fold
from turnlog.events.log import NewEvent, append, read
from turnlog.events.models import Actor, Conversation
from turnlog.events.store.dialect import PostgreSQL
from turnlog.events.types import MessageAppended
from turnlog.projections.engine.checking import differences
from turnlog.projections.engine.chunks import rebuild_chunk
from turnlog.projections.engine.registry import named
from turnlog.projections.models import ConversationMessage

[MESSAGES] = named(["messages"])
COLUMNS = ("conversation_id", "version", "user_id", "actor_id", "turn_id", "created_at")


def rows() -> list[Any]:
    """Everything but the ids, the content as its stored text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.stream_id, e.version, e.payload FROM turnlog_message m JOIN turnlog_event e"
            " ON e.stream_id = m.conversation_id AND e.version = m.version ORDER BY 1, 2"
        )
        texts = cursor.fetchall()
    columns = ConversationMessage.objects.order_by("conversation_id", "version")
    return list(zip(columns.values_list(*COLUMNS), texts, strict=True))


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["start", "record", "finish", "fail", "late", "clear", "forget"]),
        st.integers(0, 1),  # which conversation
        st.integers(0, 2),  # which user; the last is a guest
    ),
    max_size=25,
)


class TheLaw(TestCase):
    """rebuilt == incremental == fold, whatever several people do in whatever order."""

    def setUp(self) -> None:
        users = get_user_model().objects
        self.people: list[Any] = [users.create_user(name) for name in ("ada", "bob")] + [None]
        self.said = 0
        self.rooms = [Conversation.objects.create() for _ in range(2)]

    @given(ACTIONS)
    def test_rebuilt_is_incremental_is_fold(self, actions: list[tuple[str, int, int]]) -> None:
        started: dict[int, list[uuid.UUID]] = {0: [], 1: []}
        for action, room, person in actions:
            self.act(action, room, self.people[person], started[room])
        incremental = rows()
        folded = [
            (room.pk, message.version, message.content)
            for room in self.rooms
            for message in fold(read(room.pk))
        ]
        assert [text for _, text in incremental] == folded
        assert differences(MESSAGES, [room.pk for room in self.rooms]) == {}
        ConversationMessage.objects.all().delete()
        call_command("rebuild_projections", "messages", stdout=StringIO())
        assert rows() == incremental

    def act(self, action: str, number: int, user: Any, started: list[uuid.UUID]) -> None:
        room = self.rooms[number]
        self.said += 1
        text = f"{action} {self.said}"
        if action == "start":
            try:
                started.append(room.start_turn(text, user=user).turn_id)
            except TurnInProgress:
                return
        elif action == "record":
            room.record_turn(text, AIMessage("ok"), [{"tool": "t", "output": text}], user=user)
        elif action == "clear":
            room.clear(by=user)
        elif action == "forget" and user is not None:
            user.delete()
            self.people[self.people.index(user)] = None
        elif action in ("finish", "late") and started:
            if action == "late":
                room.fail_turn(started[-1], "interrupted")
            turn_id = started.pop()
            room.record_turn(HumanMessage(text), AIMessage("ok"), user=user, turn_id=turn_id)
        elif action == "fail" and started:
            room.fail_turn(started.pop(), "failed", ai_message=AIMessage("half"))


pytestmark = pytest.mark.django_db


def test_messages_and_tool_outputs_come_back_in_order(conversation: Any, user: Any) -> None:
    output = AddableDict(tool="clock", tool_call_id=None, input=None, output=(1, 2), status="ok")
    conversation.record_turn("hello", AIMessage("hi", id="run-1"), [output], user=user)
    human, tool, answer = ConversationMessage.objects.get_histories(conversation, user)
    assert human == HumanMessage("hello")
    assert isinstance(tool, AddableDict)
    assert tool["output"] == (1, 2)
    assert answer == AIMessage("hi", id="run-1")


def test_what_an_agent_executor_gave_comes_back_as_it_was(conversation: Any, user: Any) -> None:
    from langchain_core.agents import AgentAction, AgentStep

    step = AgentStep(action=AgentAction("clock", {}, "log"), observation="12")
    chunk = AddableDict({"steps": [step], "messages": [HumanMessage("x")]})
    conversation.record_turn("hello", AIMessage("hi"), [chunk], user=user)
    [_, tool, _] = ConversationMessage.objects.get_histories(conversation, user)
    assert tool == chunk
    assert isinstance(tool, AddableDict)


def test_each_person_sees_their_own_turns(conversation: Any, django_user_model: Any) -> None:
    ada, bob = (django_user_model.objects.create_user(name) for name in ("a", "b"))
    for who in (ada, bob, None):
        conversation.record_turn(f"by {who}", AIMessage("ok"), user=who)

    def texts(user: Any) -> list[str]:
        return [m.content for m in ConversationMessage.objects.get_histories(conversation, user)]

    assert texts(ada) == ["by a", "ok"]
    assert texts(bob) == ["by b", "ok"]
    assert texts(None) == texts(AnonymousUser()) == ["by None", "ok"]
    ada.delete()
    assert texts(None) == ["by None", "ok"]  # A deleted user's words become nobody's.
    assert ConversationMessage.objects.get_histories(None, bob) == []


def test_a_cleared_conversation_is_empty_and_its_log_is_not(conversation: Any, user: Any) -> None:
    conversation.record_turn("a", AIMessage("b"), user=user)
    conversation.clear(by=user, reason="new topic")
    assert ConversationMessage.objects.get_histories(conversation, user) == []
    assert len(list(read(conversation.pk))) == 4
    conversation.record_turn("c", AIMessage("d"), user=user)
    assert len(ConversationMessage.objects.get_histories(conversation, user)) == 2


def test_a_turn_that_was_cleared_while_it_ran_stays_hidden(conversation: Any, user: Any) -> None:
    turn = conversation.start_turn("secret", user=user)
    conversation.clear(by=user)
    conversation.record_turn("secret", AIMessage("b"), user=user, turn_id=turn.turn_id)
    assert ConversationMessage.objects.get_histories(conversation, user) == []


def test_loading_takes_the_tutorials_two_queries(
    conversation: Any, user: Any, django_assert_num_queries: Any
) -> None:
    conversation.record_turn("a", AIMessage("b"), user=user)
    with django_assert_num_queries(2):
        found = Conversation.objects.filter(pk=conversation.pk).first()
        ConversationMessage.objects.get_histories(found, user)


def test_the_stored_text_is_the_payloads_own(conversation: Any, user: Any) -> None:
    conversation.record_turn("안녕 \0", AIMessage("1e16 -0.0"), user=user)
    payloads = [(e.stream_id, e.version, e.payload) for e in read(conversation.pk) if e.turn_id]
    assert [text for _, text in rows()] == payloads


def test_content_can_be_searched_as_text(conversation: Any, user: Any) -> None:
    conversation.record_turn("안녕하세요", AIMessage("hi"), user=user)
    [found] = ConversationMessage.objects.filter(content__icontains="녕하세")
    assert found.content == HumanMessage("안녕하세요")
    assert ConversationMessage.objects.filter(content=HumanMessage("안녕하세요")).count() == 1
    assert ConversationMessage.objects.order_by("content").last() == found


def test_content_is_there_however_a_row_was_loaded(conversation: Any, user: Any) -> None:
    conversation.record_turn("a", AIMessage("b"), user=user)
    human = ConversationMessage.objects.first()
    assert human is not None
    [raw, _] = ConversationMessage.objects.raw("SELECT * FROM turnlog_message ORDER BY version")
    [related, _] = conversation.messages.all()
    human.refresh_from_db()
    assert raw.content == related.content == human.content == HumanMessage("a")
    assert human.event.payload == next(iter(read(conversation.pk, after=1))).payload


def test_a_document_that_cannot_be_read_here_does_not_hide_the_rest(
    conversation: Any, user: Any
) -> None:
    future = {"_type": "FutureMessage", "_value": {}}
    append(conversation.pk, [NewEvent(MessageAppended(future), actor_id=Actor.objects.id_of(user))])
    conversation.record_turn("a", AIMessage("b"), user=user)
    unreadable, human, answer = ConversationMessage.objects.get_histories(conversation, user)
    assert (human, answer) == (HumanMessage("a"), AIMessage("b"))
    assert json.loads(unreadable["unreadable"]) == future
    assert "FutureMessage" in unreadable["error"]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_rebuild_gives_way_to_a_writer_that_holds_what_it_wants() -> None:
    """The writer holds one conversation and wants another: neither may be given up."""
    first, second = (Conversation.objects.create() for _ in range(2))
    keys = {room.pk: _lock_key(room.pk) for room in (first, second)}
    # The rebuild takes its locks in the order of their keys.
    early, late = sorted((first, second), key=lambda room: keys[room.pk])
    writing, done = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            late.record_turn("a", AIMessage("b"))
            writing.set()
            rebuilding.wait(30)
            early.record_turn("c", AIMessage("d"))
        connection.close()
        done.set()

    rebuilding = threading.Event()
    thread = threading.Thread(target=write)
    thread.start()
    writing.wait(30)
    original = PostgreSQL.lock_streams

    def announced(self: Any, cursor: Any, streams: Any, **options: Any) -> None:
        rebuilding.set()
        original(self, cursor, streams, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgreSQL, "lock_streams", announced)
        rebuild_chunk(MESSAGES, [first.pk, second.pk])
    thread.join()
    assert done.is_set()
    assert differences(MESSAGES, [first.pk, second.pk]) == {}
    assert ConversationMessage.objects.count() == 4


def _lock_key(stream_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT hashint8(%s)", [stream_id])
        key: int = cursor.fetchone()[0]
        return key


def command(name: str, *arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command(name, *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


DAMAGE = {
    "lost": ("DELETE FROM turnlog_message WHERE version = 2", "version 2 is missing"),
    "changed": (
        "UPDATE turnlog_message SET turn_id = NULL WHERE version = 2",
        "version 2: turn_id",
    ),
    "of another": ("UPDATE turnlog_message SET user_id = NULL WHERE version = 2", "2: user"),
    "invented": (
        "UPDATE turnlog_message SET version = 9 WHERE version = 3",
        "version 9 should not be there",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_repaired(conversation: Any, user: Any, damage: str) -> None:
    conversation.record_turn("a", AIMessage("b"), user=user)
    before = rows()
    assert command("check_projections")[0] == 0
    sql, sentence = DAMAGE[damage]
    with connection.cursor() as cursor:
        cursor.execute(sql)
    code, output = command("check_projections", "messages")
    assert code == 1
    assert f"conversation {conversation.pk}: " in output
    assert sentence in output
    code, output = command("check_projections", "--json")
    assert (code, json.loads(output)["ok"]) == (1, False)
    code, output = command(
        "rebuild_projections", "messages", f"--conversation={conversation.pk}", "--json"
    )
    assert json.loads(output) == {"projections": ["messages"], "conversations": 1, "events": 3}
    assert rows() == before


@pytest.mark.parametrize("name", ["rebuild_projections", "check_projections"])
def test_an_unknown_projection_is_one_line_and_exit_code_2(name: str) -> None:
    with pytest.raises(
        CommandError, match=r"unknown projection 'mesages'; known projections: .*messages"
    ) as c:
        call_command(name, "mesages")
    assert c.value.returncode == 2


@pytest.mark.parametrize("name", ["rebuild_projections", "check_projections"])
def test_an_unknown_conversation_is_one_line_and_exit_code_2(name: str) -> None:
    with pytest.raises(CommandError, match="there is no conversation 999999;") as caught:
        call_command(name, "--conversation=999999")
    assert caught.value.returncode == 2
