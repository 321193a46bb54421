"""The admin: readable, searchable, and read-only where nothing may change."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage

pytestmark = pytest.mark.django_db


@pytest.fixture
def recorded(conversation: Any, user: Any) -> Any:
    outputs = [{"tool": "clock", "output": 12}]
    conversation.record_turn("안녕 <b>", AIMessage("반가워요"), outputs, user=user)
    return conversation


MESSAGES = "/admin/turnlog_projections/conversationmessage/"
EVENTS = "/admin/turnlog_events/event/"
CONVERSATIONS = "/admin/turnlog_events/conversation/"


def page(client: Any, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


def test_messages_are_readable_and_searchable(admin_client: Any, recorded: Any) -> None:
    text = page(admin_client, MESSAGES)
    assert "안녕 &lt;b&gt;" in text
    assert "clock: 12" in text
    assert "반가워요" in page(admin_client, f"{MESSAGES}?q={recorded.pk}")
    assert "반가워요" not in page(admin_client, f"{MESSAGES}?q={recorded.pk + 1}")
    assert "반가워요" in page(admin_client, MESSAGES + "?q=ada")


def test_messages_and_events_are_read_only(admin_client: Any, recorded: Any) -> None:
    message = recorded.messages.first()
    for url in (f"{MESSAGES}{message.pk}/", f"{EVENTS}{_event_pk()}/"):
        text = page(admin_client, url + "change/")
        assert 'name="_save"' not in text
        assert admin_client.post(url + "delete/", {"post": "yes"}).status_code == 403
    for url in (MESSAGES, EVENTS):
        assert admin_client.get(url + "add/").status_code == 403


def _event_pk(version: int = 2) -> int:
    from turnlog.events.models import Event

    return Event.objects.get(version=version).pk


def test_events_show_what_was_stored(admin_client: Any, recorded: Any) -> None:
    listed = page(admin_client, f"{EVENTS}?stream_id={recorded.pk}")
    assert "ToolOutputRecorded" in listed
    shown = page(admin_client, f"{EVENTS}{_event_pk()}/change/")
    assert "HumanMessage" in shown
    assert "안녕 &lt;b&gt;" in shown


def test_conversations_are_searchable_and_never_deleted(admin_client: Any, recorded: Any) -> None:
    assert "Ordering coffee" in page(admin_client, CONVERSATIONS + "?q=coffee")
    assert "Ordering coffee" not in page(admin_client, CONVERSATIONS + "?q=tea")
    url = f"{CONVERSATIONS}{recorded.pk}/"
    assert "Ordering coffee" in page(admin_client, url + "change/")
    assert admin_client.post(url + "delete/", {"post": "yes"}).status_code == 403


def test_an_event_that_nests_deeply_stays_small_on_its_page(
    admin_client: Any, conversation: Any
) -> None:
    nested: Any = 1
    for _ in range(150):
        nested = [nested]
    conversation.record_turn("x", AIMessage("y"), [{"tool": "t", "output": [nested] * 300}])
    shown = page(admin_client, f"{EVENTS}{_event_pk(version=3)}/change/")
    assert len(shown) < 1_100_000
    assert " …</pre>" in shown
