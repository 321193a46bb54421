"""What the admin's lists show of an event: its words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from turnlog.events.admin import _gist
from turnlog.events.models import Event

EVIL = "<script>alert(1)</script>"


@pytest.mark.django_db
@pytest.mark.urls("tests.project.review_urls")
def test_words_and_a_way_into_the_review_room(conversation: Any, admin_client: Client) -> None:
    conversation.record_turn("how much?", AIMessage(f"32 {EVIL}"), [{"tool": "t", "output": "x"}])
    turn = conversation.start_turn("and now?")
    conversation.fail_turn(turn.turn_id, error={"type": "E", "text": "429 slow down"})
    conversation.clear(reason="tidy up")
    listed = admin_client.get("/admin/turnlog_events/event/").content.decode()
    for words in ("how much?", "32 &lt;script&gt;", "429 slow down", "tidy up", ">x<"):
        assert words in listed, words
    assert "_type" not in listed
    event = Event.objects.get(stream_id=conversation.pk, version=2)
    for page in (f"event/{event.pk}", f"conversation/{conversation.pk}"):
        shown = admin_client.get(f"/admin/turnlog_events/{page}/change/").content.decode()
        assert f'href="/review/{conversation.pk}/' in shown


@pytest.mark.django_db
def test_a_project_without_a_review_room(conversation: Any, admin_client: Client) -> None:
    shown = admin_client.get(f"/admin/turnlog_events/conversation/{conversation.pk}/change/")
    assert shown.status_code == 200
    assert "review room" not in shown.content.decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["message", "_value", "error", "content", "x"]), inner)
    ),
)


@given(JSON.map(json.dumps) | st.text())
def test_any_payload_has_a_short_gist(payload: str) -> None:
    assert len(_gist(payload)) <= 102
    _gist(payload).encode()
