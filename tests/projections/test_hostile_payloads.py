"""What is stored in spite of all validation: pages, the admin, replays and histories still open."""

from __future__ import annotations

import io
import uuid
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from langchain_core.messages import AIMessage, HumanMessage

from turnlog.consumers.page.frames import HtmlEncoder, JsonEncoder
from turnlog.consumers.page.turn_view import view_of
from turnlog.core import codec
from turnlog.core.codec.encoded import Encoded
from turnlog.events.chain import NewEvent
from turnlog.events.log import append
from turnlog.events.models import Actor, Event
from turnlog.events.store.append_only import triggers_suspended
from turnlog.events.types import _KINDS, EVENT_TYPES, EventData, TurnStarted
from turnlog.projections.messages.previous import HistoryRule
from turnlog.projections.models import ConversationMessage
from turnlog.projections.transcript import read_transcript

pytestmark = pytest.mark.django_db

OF_CONVERSATIONS = (
    *("ConversationOpened", "ConversationCleared", "ConversationForked", "PayloadErased"),
    *("HoldPlaced", "HoldLifted", "TitleChanged", "OwnerChanged"),
)

PAYLOADS = [
    "null",
    '"text"',
    "[]",
    "{}",
    '{"_type":"HumanMessage"}',
    '{"_type":"no.such","_value":1}',
    '{"_type":["x"],"_value":1}',
    '{"_type":"tuple","_value":[1]}',
    '{"_type":"AIMessage","_value":{"content":[{"type":"text","text":5}],"type":"ai"}}',
    '{"_type":"AIMessage","_value":{"content":"x","type":"ai","tool_calls":[{"a":1}]}}',
    '{"message":5}',
    "not json",
    "",
    "NaN",
    "1e999",
    "[" * 5000,
    '{"tool":1,"tool_call_id":5,"input":3,"output":NaN}',
    '{"tool":"t","tool_call_id":"a","input":{"_type":"nope","_value":1},"output":{"_type":"tuple",'
    '"_value":[[1]]},"status":5,"duration":"x","text":[{"_type":"z"}]}',
    '{"outcome":"failed","produced":null,"error":5}',
    '{"outcome":[],"produced":{"tools":5,"message":5},"error":{"kind":[]}}',
    '{"outcome":"failed","produced":{"tools":[5,{}],"message":{"_type":"x"}},"error":null}',
    '{"owner":5,"title":5}',
    '{"versions":["a"],"reason":null}',
    '{"reason":5}',
    '"' + "x" * 200_000,
    '{"tool":"t","input":null,"output":[' + "[" * 200_000,
]


def offered(name: str, payload: str) -> Any:
    """A fact with a payload that is no such fact's."""
    body = {"schema": EVENT_TYPES[name].schema, "payload": lambda self: Encoded(payload)}
    return type(name, (EventData,), body)()


# What a BranchChosen describes is read by SQL: the database refuses one that is no JSON.
@pytest.mark.parametrize("name", sorted(EVENT_TYPES.keys() - {"BranchChosen"}))
def test_everything_opens(name: str, conversation: Any, user: Any, admin_client: Any) -> None:
    actor = Actor.objects.id_of(user)
    for payload in PAYLOADS:
        turn = None if name in OF_CONVERSATIONS else uuid.uuid4()
        if turn and name != "TurnStarted":
            started = TurnStarted(codec.encode(HumanMessage("before")))
            append(conversation.pk, [NewEvent(started, turn, actor)])
        append(conversation.pk, [NewEvent(offered(name, payload), turn, actor)])
    conversation.record_turn("after", AIMessage("ok"), user=user)
    opens(conversation, user, admin_client)
    call_command("verify_log", stdout=io.StringIO())


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_that_is_changed_in_the_database_opens(
    payload: str, conversation: Any, user: Any, admin_client: Any
) -> None:
    conversation.record_turn("q", AIMessage("a"), [{"tool": "t", "output": 1}], user=user)
    failed = conversation.start_turn("failed", user=user)
    conversation.fail_turn(failed.turn_id, "failed")
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute("UPDATE turnlog_event SET payload = %s", [payload])
    opens(conversation, user, admin_client)


def opens(conversation: Any, user: Any, admin_client: Any) -> None:
    turns = read_transcript(conversation.pk, user, limit=100).turns
    views = [view_of(turn, show_initial_prompt=True) for turn in turns]
    for encoder in (HtmlEncoder(), JsonEncoder()):
        for view in views:
            assert list(encoder.turn(view, 1))
    said = ConversationMessage.objects.get_histories(conversation, user)
    HistoryRule(tools=True).of_messages(said)
    assert len([message.content for message in conversation.messages.all()]) == len(said)
    for url in (
        f"/admin/turnlog_events/event/?stream_id={conversation.pk}",
        f"/admin/turnlog_projections/conversationmessage/?q={conversation.pk}",
        f"/admin/turnlog_events/conversation/{conversation.pk}/change/",
    ):
        assert admin_client.get(url).status_code == 200
    for event in Event.objects.filter(stream_id=conversation.pk):
        url = f"/admin/turnlog_events/event/{event.pk}/change/"
        assert admin_client.get(url).status_code == 200
    try:
        call_command("replay_conversation", conversation.pk, stdout=io.StringIO())
    except CommandError as error:
        # In the end, after all events were shown.
        assert "expected an event that this version of turnlog knows" in str(error)  # noqa: PT017


def test_what_cannot_be_read_is_said(conversation: Any, user: Any) -> None:
    conversation.record_turn("q", AIMessage("a"), [{"tool": "t", "output": 1}], user=user)
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute("UPDATE turnlog_event SET payload = 'not json' WHERE version > 2")
    [turn] = read_transcript(conversation.pk, user, limit=1).turns
    view = view_of(turn, show_initial_prompt=True)
    assert view.human_text == "q"
    assert view.text == "This message cannot be shown here."
    assert view.pieces[0]["output"] == "not json"


def test_the_kind_of_every_field_is_known() -> None:
    """Otherwise a payload of another kind would pass as an event."""
    own = [cls for cls in EVENT_TYPES.values() if cls.__module__ == EventData.__module__]
    kinds = {str(item.type) for cls in own for item in cls.__dataclass_fields__.values()}
    assert {kind for kind in kinds if "ClassVar" not in kind} <= set(_KINDS)
