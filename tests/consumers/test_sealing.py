"""Searches in addresses are for whoever may read them, and saved ones hold no personal data."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from turnlog.consumers.review.sealing import BadSeal, sealed, unsealed
from turnlog.events.models import Conversation
from turnlog.projections.models import SavedView

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.project.review_urls")]

REFUSED = b"Expected the whole address of a search"


def person(name: str, *permissions: str) -> Any:
    made = User.objects.create_user(name)
    made.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return User.objects.get(pk=made.pk)


def logged_in(who: Any) -> Client:
    client = Client()
    client.force_login(who)
    return client


@pytest.fixture
def people(user: Any) -> dict[str, Any]:
    return {
        "owner": user,
        "other": person("other"),
        "rita": person("rita", "review_conversation"),
        "rob": person("rob", "review_conversation"),
    }


@pytest.mark.parametrize("by", ["owner", "other", "rita", "rob"])
@pytest.mark.parametrize("to", ["owner", "other", "rita", "rob"])
def test_a_seal_opens_for_whoever_may_read_it(people: dict[str, Any], by: str, to: str) -> None:
    seal = sealed("broken", people[by])
    if by == to or {by, to} == {"rita", "rob"}:
        assert unsealed(seal, people[to]) == "broken"
    else:
        with pytest.raises(BadSeal):
            unsealed(seal, people[to])


def tenant() -> str:
    return TENANTS[-1]


TENANTS = ["north"]


def test_a_seal_of_another_tenant_is_foreign(
    people: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TURNLOG = {"TENANT": f"{__name__}.tenant"}
    seals = {name: sealed("broken", each) for name, each in people.items()}
    monkeypatch.setitem(globals(), "TENANTS", ["south"])
    for name, seal in seals.items():
        with pytest.raises(BadSeal):
            unsealed(seal, people[name])


@pytest.mark.parametrize("by", ["owner", "rita"])
def test_an_address_from_a_log_tells_others_nothing(people: dict[str, Any], by: str) -> None:
    room = Conversation.objects.create(user=people["owner"])
    room.record_turn("It is broken", "Sorry.", user=people["owner"])
    clients = {name: logged_in(each) for name, each in people.items()}
    theirs = Conversation.objects.create(user=people["other"])
    listed = clients[by].post("/review/search/", {"q": "a broken cup"})["Location"]
    found = clients[by].post(f"/review/{room.pk}/find/", {"find": "a broken cup"})["Location"]
    for address in (listed, found):
        assert "broken" not in address
        shown = clients[by].get(address)
        assert (shown.status_code, b"a broken cup" in shown.content) == (200, True)
    seals = [re.sub(r".*[?&]s=", "", address) for address in (listed, found)]
    for seal in seals:
        for page in ("/review/", f"/review/{theirs.pk}/"):
            refused = clients["other"].get(f"{page}?s={seal}")
            assert refused.status_code == 400
            assert REFUSED in refused.content
            assert b"a broken cup" not in refused.content


@pytest.mark.parametrize(
    "query",
    [
        "010 1234 5678",
        "010 -1234 -5678",
        '"010" "1234" "5678"',
        "010 state:failed 1234 5678",
        "010 user:ada 1234 5678",
        "tool:010-1234-5678",
        'model:"010 1234 5678"',
        "tool:ada@example.com",
        '"user:ada@example.com"',
        'user:ada "a user:ada@example.com"',
    ],
)
def test_personal_data_in_any_part_is_not_saved(query: str, people: dict[str, Any]) -> None:
    response = logged_in(people["rita"]).post("/review/views/save/", {"name": "x", "q": query})
    assert response.status_code == 400
    assert b"without personal data" in response.content
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        "user:ada@example.com",
        '-user:"ada@example.com" broken',
        "created:2026-11-01..2026-11-30 tokens:1000000..2000000",
        "id:9007199254740993",
        "id:12345678-1234-1234-1234-123456789012",
        "state:failed,stopped model:gpt-5-2025-08-07 tool:search -has:image",
    ],
)
def test_other_searches_are_saved(query: str, people: dict[str, Any]) -> None:
    response = logged_in(people["rita"]).post("/review/views/save/", {"name": "x", "q": query})
    assert response.status_code == 303
    assert SavedView.objects.get().query == query


def broken_finder(text: str) -> Any:
    raise LookupError("the model is away")


def test_what_cannot_be_looked_at_is_not_saved(people: dict[str, Any], settings: Any) -> None:
    settings.TURNLOG = {"FIND_PERSONAL_DATA": f"{__name__}.broken_finder"}
    response = logged_in(people["rita"]).post("/review/views/save/", {"name": "x", "q": "broken"})
    assert response.status_code == 400
    assert b"without personal data" in response.content
    assert not SavedView.objects.exists()
