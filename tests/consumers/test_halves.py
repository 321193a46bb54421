"""Half characters, in all that is said, called and returned, at every way out of the log."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from langchain_core.messages import AIMessage, convert_to_openai_messages

from turnlog.consumers.page.frames import HtmlEncoder, JsonEncoder
from turnlog.consumers.page.turn_view import view_of
from turnlog.events.models import Conversation, Event
from turnlog.models import ConversationMessage
from turnlog.projections import as_of
from turnlog.projections.messages.previous import HistoryRule
from turnlog.projections.transcript import read_transcript

HALF = "half \ud83d\ude00 and \ud83d"
WHOLE = "half 😀 and \ufffd"


@pytest.fixture
def room(admin_user: Any) -> Conversation:
    room = Conversation.objects.create(user=admin_user, title="Halves")
    call = {"name": "look", "args": {HALF: [HALF]}, "id": "call-1"}
    answer = AIMessage(HALF, tool_calls=[call], response_metadata={"model_name": HALF})
    tool = {"tool": HALF, "tool_call_id": "call-1", "input": {HALF: HALF}, "output": [HALF]}
    room.record_turn(HALF, answer, [tool], user=admin_user, rounds=[answer, AIMessage(HALF)])
    started = room.start_turn(HALF, user=admin_user)
    error = {"type": "ValueError", "kind": "error", "text": HALF}
    room.fail_turn(started.turn_id, error=error, ai_message=HALF, tools_output_list=[tool])
    call_command("run_projections", once=True, verbosity=0)
    return room


@pytest.mark.django_db(transaction=True)
def test_the_page_and_other_clients(room: Conversation, admin_user: Any) -> None:
    turns = read_transcript(room.pk, admin_user, limit=10).turns
    for turn in turns:
        view = view_of(turn, show_initial_prompt=True)
        for encoder in (HtmlEncoder(), JsonEncoder()):
            frames = "".join(encoder.turn(view, 1))
            assert WHOLE.encode() in frames.encode()


@pytest.mark.django_db(transaction=True)
def test_the_next_turns_model(room: Conversation, admin_user: Any) -> None:
    entries = as_of(room).entries
    histories = ConversationMessage.objects.get_histories(room, admin_user)
    for rule in (HistoryRule(), HistoryRule(tools=True)):
        for messages in (rule.of_entries(entries).messages, rule.of_messages(histories)):
            sent = json.dumps(convert_to_openai_messages(messages), ensure_ascii=False)
            assert WHOLE.encode() in sent.encode()


@pytest.mark.django_db(transaction=True)
def test_the_admin(room: Conversation, admin_client: Client) -> None:
    event = Event.objects.filter(stream_id=room.pk).order_by("version").last()
    message = ConversationMessage.objects.order_by("version").last()
    assert event is not None
    assert message is not None
    pages = [
        "/admin/turnlog_events/event/",
        f"/admin/turnlog_events/event/{event.pk}/change/",
        "/admin/turnlog_events/conversation/",
        "/admin/turnlog_projections/conversationmessage/",
        f"/admin/turnlog_projections/conversationmessage/{message.pk}/change/",
        "/admin/turnlog_projections/usage/",
    ]
    for page in pages:
        assert admin_client.get(page).status_code == 200, page


@pytest.mark.django_db(transaction=True)
def test_terminals(room: Conversation) -> None:
    out = io.StringIO()
    call_command("replay_conversation", str(room.pk), stdout=out)
    assert out.getvalue().encode()
