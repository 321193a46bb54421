"""What a hostile or unlucky person, address or event does to the review room."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.test import Client
from langchain_core.messages import AIMessage

from tests.consumers.test_review_acts import catch_up, client_with, text_of
from turnlog.consumers.review import recording
from turnlog.events import reviews
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation
from turnlog.events.types import TurnFailed
from turnlog.projections.engine.model import Checkpoint
from turnlog.projections.models import Access, Remark

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.project.review_urls"),
    pytest.mark.slow_once,
]


@pytest.fixture(autouse=True)
def _nothing_was_seen_before() -> None:
    recording._looks.forget()


@pytest.fixture
def room(user: Any) -> Conversation:
    room = Conversation.objects.create(user=user, title="A cup")
    room.record_turn("It is broken", AIMessage("I am sorry."), user=user)
    return room


@pytest.fixture
def rita(db: None) -> Client:
    return client_with("rita", "review_conversation", "inspect_accesses")


def cursor(at: str, pk: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps([at, pk]).encode()).decode().rstrip("=")


WRONG = [
    *(
        f"{{pk}}/?{name}={number}"
        for name in ("at", "before")
        for number in ("1" * 13, "0" * 11 + "1" + "9" * 5000)
    ),
    "{pk}/compare/?a=" + "0" * 11 + "1" + "9" * 5000,
    "{pk}/given/2/?call=" + "9" * 5000,
    *(f"?q=created:{day}" for day in ("0001-01-01", "9999-12-31", "0001-01-01..9999-12-31")),
    "?after=" + cursor("0001-01-01T00:00:00+14:00", 5),
    "?after=" + cursor("9999-12-31T23:59:59-14:00", 5),
    "?after=" + cursor("2026-11-29T00:00:00+00:00", 2**70),
    "?q=" + "%20".join(f"word{number}" for number in range(11)),
    "?q=" + "%20".join(f"tokens:>{number}" for number in range(21)),
    "accesses/?conversation=" + "9" * 400,
]


@pytest.mark.parametrize("address", WRONG)
def test_a_wrong_address_is_a_sentence(address: str, room: Conversation, rita: Client) -> None:
    response = rita.get(f"/review/{address.format(pk=room.pk)}")
    assert response.status_code == 400
    assert b'role="alert"' in response.content


@pytest.mark.parametrize(
    "address",
    [
        "?q=user:a%00b",
        "?q=model:a%00b",
        "?q=%22a%00b%22",
        "?view=a%00b",
        "accesses/?who=%00a",
        "accesses/?whose=%00a",
        "accesses/?action=a%00a",
        "health/?model=a%00a",
        "{pk}/?find=a%00b",
        "?after=" + cursor("2026-11-29T00:00:00+23:59", 5),
        "?q=" + "%20".join(["again"] * 150),
    ],
)
def test_an_odd_address_finds_nothing(address: str, room: Conversation, rita: Client) -> None:
    catch_up()
    assert rita.get(f"/review/{address.format(pk=room.pk)}").status_code == 200


def everybody(user: Any, conversation: Conversation) -> bool:
    return user.is_staff or conversation.user_id == user.pk


def test_a_projects_own_rule_makes_no_reviewers(
    room: Conversation, user: Any, settings: Any
) -> None:
    """It has to let owners in, or they see nothing of their own."""
    catch_up()
    reviews.add_note(room.pk, "a difficult customer", by=user)
    settings.TURNLOG = {"CAN_REVIEW": f"{__name__}.everybody", "SCORES": {"ok": "yes/no"}}
    owner = Client()
    owner.force_login(user)
    for address in (f"/review/{room.pk}/", "/review/"):
        assert "difficult" not in text_of(owner, address)
        assert "Sign off" not in text_of(owner, address)
    assert owner.get("/review/", {"q": "has:note"}).status_code == 400
    for act, form in (
        ("notes/", {"text": "I am kind"}),
        ("scores/", {"score-ok": "yes"}),
        ("sign-off/", {"until": "1"}),
    ):
        assert owner.post(f"/review/{room.pk}/{act}", form).status_code == 404
    assert Remark.objects.count() == 1


def test_what_became_a_reviewers_own_is_recorded(
    room: Conversation, django_user_model: Any
) -> None:
    lead = client_with("lead", "review_conversation", "reveal_personal_data", "export_log")
    room.user = django_user_model.objects.get(username="lead")
    room.save()
    assert lead.post(f"/review/{room.pk}/reveal/", {"reason": ""}).status_code == 400
    text_of(lead, f"/review/{room.pk}/")
    assert Access.objects.get().action == "read"


def test_the_health_page_has_nobodys_words(room: Conversation, rita: Client) -> None:
    catch_up()
    Checkpoint.objects.filter(name="search").update(
        failed_at=2, failures=1, error="ValueError: cannot index 'call 010-1234-5678'"
    )
    shown = text_of(rita, "/review/health/")
    assert "010-1234" not in shown
    assert "projection_status" in shown


def test_an_event_that_cannot_be_read_takes_nothing_else_away(
    room: Conversation, user: Any, rita: Client
) -> None:
    begun = room.start_turn("again", user=user)
    data: Any = TurnFailed("failed", {"message": None, "tools": []})
    odd = type("TurnFailed", (type(data),), {"schema": 99, "__slots__": ()})
    append(room.pk, [NewEvent(odd("failed", {"message": None, "tools": []}), begun.turn_id)])
    assert "It is broken" in text_of(rita, f"/review/{room.pk}/")
    assert rita.get(f"/review/{room.pk}/compare/?a=1").status_code == 200
