"""What people see in the place of what was erased: when that was, and for what."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import translation
from langchain_core.messages import AIMessage

from tests.everywhere import places_of
from turnlog.events import attempt, log
from turnlog.events.models import Conversation
from turnlog.projections.transcript import read_transcript
from turnlog.projections.travel.moments import as_of, replay

pytestmark = pytest.mark.django_db

# 23:30 in UTC is the next day where the tests' project is.
AT = dt.datetime(2030, 3, 1, 23, 30, tzinfo=dt.UTC)
ENGLISH = "Erased on March 2, 2030 for request 7"
KOREAN = "2030년 3월 2일에 삭제됨 (사유: request 7)"


@pytest.fixture
def erased(conversation: Any, user: Any, monkeypatch: Any) -> Any:
    """Versions 2 to 4 are an erased turn, 5 and 6 another one, 7 has erased."""
    outputs = [{"tool": "look", "output": "milk"}]
    turn_id = conversation.record_turn("a latte", AIMessage("here"), outputs, user=user)[-1].turn_id
    conversation.record_turn("a tea", AIMessage("there"), user=user)
    monkeypatch.setattr(attempt, "timezone", SimpleNamespace(now=lambda: AT))
    conversation.erase([turn_id], by=user, reason="request 7")
    return conversation


def test_a_transcript_says_it_of_the_turn(erased: Any, user: Any) -> None:
    transcript = read_transcript(erased.pk, user, limit=50)
    first, second = transcript.turns
    assert (first.standing, first.human, first.answer, first.tools) == ("erased", None, None, [])
    assert first.erasure.sentence == ENGLISH
    assert (first.erasure.record, first.erasure.by) == (7, erased.owner_actor_id)
    with translation.override("ko"):
        assert first.erasure.sentence == KOREAN
    assert second.erasure is None
    assert transcript.erased == 7
    [earlier] = read_transcript(erased.pk, user, before=5, limit=50).turns
    assert earlier.erasure == first.erasure


def test_time_travel_to_before_shows_it_as_erased(erased: Any, user: Any) -> None:
    before = as_of(erased, version=4)
    assert before.messages == []
    assert [entry.version for entry in before.erased] == [2, 3, 4]
    assert {entry.erasure.reason for entry in before.erased} == {"request 7"}
    assert {entry.erasure.at for entry in before.erased} == {AT}
    assert [entry.version for entry in as_of(erased, version=2).erased] == [2]
    assert [entry.version for entry in as_of(erased).erased] == [2, 3, 4]
    assert [len(state.erased) for state in replay(erased)] == [0, 1, 2, 3, 3, 3, 3]
    assert len(before.of(user).erased) == 3
    assert before.of(None).erased == []


def test_what_was_cleared_before_stood_nowhere(erased: Any) -> None:
    erased.clear()
    assert as_of(erased).erased == []
    assert len(as_of(erased, version=6).erased) == 3


def test_a_page_says_it(erased: Any, user: Any) -> None:
    import json

    from turnlog.consumers.page.frames import HtmlEncoder, JsonEncoder
    from turnlog.consumers.page.turn_view import view_of

    turn = read_transcript(erased.pk, user, limit=50).turns[0]
    view = view_of(turn, show_initial_prompt=True)
    [html] = HtmlEncoder().turn(view, None)
    assert f'<p class="turnlog-outcome">{ENGLISH}</p>' in html
    assert "turnlog-said" not in html
    [frame] = JsonEncoder().turn(view, None)
    assert json.loads(frame)["error"] == ENGLISH
    assert json.loads(frame)["outcome"] == "erased"
    with translation.override("ko"):
        assert KOREAN in HtmlEncoder().turn(view, None)[0]


def test_a_reason_is_no_markup(conversation: Any, user: Any) -> None:
    from turnlog.consumers.page.frames import HtmlEncoder
    from turnlog.consumers.page.turn_view import view_of

    conversation.record_turn("a", AIMessage("b"), user=user)
    conversation.erase(reason="<script>alert(1)</script>")
    turn = read_transcript(conversation.pk, user, limit=50).turns[0]
    [html] = HtmlEncoder().turn(view_of(turn, show_initial_prompt=True), None)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def page(client: Any, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


def test_the_admin_says_it(
    admin_client: Any, erased: Any, django_assert_max_num_queries: Any
) -> None:
    events = "/admin/turnlog_events/event/"
    assert page(admin_client, events).count(ENGLISH) == 3
    pk = log.read(erased.pk, after=1).__next__().pk
    assert ENGLISH in page(admin_client, f"{events}{pk}/change/")
    erased.hold(reason="case 12")
    conversation = page(admin_client, f"/admin/turnlog_events/conversation/{erased.pk}/change/")
    assert ENGLISH in conversation
    assert "case 12" in conversation
    messages = "/admin/turnlog_projections/conversationmessage/"
    line = f"Conversation {erased.pk}: 3 events. {ENGLISH}"
    assert line in page(admin_client, messages)
    erased.lift_hold(reason="settled")
    erased.erase(reason="request 8")
    assert line in page(admin_client, f"{messages}?q={erased.pk}")
    assert "Erased" not in page(admin_client, messages)
    assert "Erased" not in page(admin_client, f"{messages}?q={'9' * 30}")
    with django_assert_max_num_queries(12):
        page(admin_client, events)


def test_djangos_own_log_keeps_no_title(admin_client: Any, django_user_model: Any) -> None:
    from django.contrib.admin.models import LogEntry

    conversations = "/admin/turnlog_events/conversation/"
    assert admin_client.post(f"{conversations}add/", {"title": "pomegranate"}).status_code == 302
    room = Conversation.objects.get()
    changed = {"title": "pomegranates", "user": ""}
    assert admin_client.post(f"{conversations}{room.pk}/change/", changed).status_code == 302
    assert Conversation.objects.get().title == "pomegranates"
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {f"#{room.pk}"}
    room.erase(reason="request 7")
    assert places_of("pomegranate") == []


def test_a_page_of_another_conversation_is_left_alone(erased: Any, user: Any) -> None:
    other = Conversation.objects.create(user=user)
    other.record_turn("a", AIMessage("b"), user=user)
    assert read_transcript(other.pk, user, limit=50).erased == 0
