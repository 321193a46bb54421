"""The list of a person's conversations: whose they are, how they are found, and what is done."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from django.utils import translation

from turnlog.core.errors import ConfigurationError
from turnlog.events.models import Conversation, Event
from turnlog.events.types import TitleChanged
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.views import ConversationList

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class Few(ConversationList):
    chat_url_name = "chat"
    page_size = 3


def chat(request: Any, pk: int) -> HttpResponse:
    return HttpResponse(f"chat {pk}")


urlpatterns = [
    path("mine/", include(Few.urls())),
    path("chat/<int:pk>/", chat, name="chat"),
    path("nowhere/", include(ConversationList.urls(), namespace="nowhere")),
]


@pytest.fixture
def ada(user: Any) -> Client:
    client = Client(enforce_csrf_checks=False)
    client.force_login(user)
    return client


@pytest.fixture
def others(django_user_model: Any) -> Conversation:
    other = django_user_model.objects.create_user("grace")
    return Conversation.objects.create(user=other, title="Grace's own")


def caught_up() -> None:
    Worker(named(["overview", "search", "usage"])).catch_up()


def links(page: Any) -> list[int]:
    """The conversations on a page, in order."""
    return [int(pk) for pk in re.findall(r'href="/chat/(\d+)/"', page.content.decode())]


def test_only_ones_own_are_listed_and_the_latest_first(
    ada: Client, user: Any, others: Conversation
) -> None:
    Conversation.objects.create(title="Nobody's")
    rooms = [Conversation.objects.create(user=user, title=f"Room {n}") for n in range(7)]
    newest_first = [room.pk for room in reversed(rooms)]
    pages, address = [], "/mine/"
    while address:
        page = ada.get(address)
        pages += links(page)
        following = re.search(r'href="(\?[^"]*)" rel="next"', page.content.decode())
        address = f"/mine/{following[1].replace('&amp;', '&')}" if following else ""
    assert pages == newest_first
    assert page["Cache-Control"] == "no-store, private" or "no-store" in page["Cache-Control"]
    for room in (rooms[0], rooms[3]):
        room.record_turn("Hello.", "Hello!", user=user)
    caught_up()
    assert links(ada.get("/mine/"))[:2] == [rooms[3].pk, rooms[0].pk]
    assert links(ada.get("/mine/?after=nonsense"))[:1] == [rooms[3].pk]


def test_words_are_found_in_titles_and_in_ones_own_turns(
    ada: Client, user: Any, others: Conversation
) -> None:
    rooms = [Conversation.objects.create(user=user, title=title) for title in ("Latte", "", "")]
    rooms[1].record_turn("Is there a LATTE?", "Yes.", user=user)
    rooms[2].record_turn("Latte again?", "No.", user=user)
    rooms[2].clear(by=user)
    others.record_turn("latte", "Yes.", user=others.user)
    caught_up()
    found = ada.get("/mine/", {"q": "latte"})
    assert links(found) == [rooms[1].pk, rooms[0].pk]
    assert links(ada.get("/mine/", {"q": "tea"})) == []
    assert "Nothing was found." in ada.get("/mine/", {"q": "tea"}).content.decode()
    assert ada.get("/mine/", {"q": "x" * 5_000}).status_code == 200
    assert ada.get("/mine/", {"q": "\0"}).status_code in (200, 400)


def test_one_that_is_empty_is_taken_before_a_new_one(ada: Client, user: Any) -> None:
    first = ada.post("/mine/new/")
    room = Conversation.objects.get(user=user)
    assert (first.status_code, first["Location"]) == (302, f"/chat/{room.pk}/")
    assert ada.post("/mine/new/")["Location"] == first["Location"]
    room.record_turn("Hello.", "Hello!", user=user)
    assert ada.post("/mine/new/")["Location"] != first["Location"]
    assert Conversation.objects.filter(user=user).count() == 2


def test_one_that_a_room_has_is_not_taken(ada: Client, user: Any) -> None:
    room = Conversation.objects.create(user=user)
    new = ada.post("/mine/new/")["Location"]
    later = Conversation.objects.create(user=user)
    assert new not in {f"/chat/{other.pk}/" for other in (room, later)}
    assert ada.post("/mine/new/")["Location"] == new


def test_renaming_and_clearing_are_events_by_the_person(ada: Client, user: Any) -> None:
    room = Conversation.objects.create(user=user)
    room.record_turn("Hello.", "Hello!", user=user)
    done = ada.post(f"/mine/{room.pk}/rename/", {"title": " My\n <b>room</b> "})
    assert (done.status_code, done["Location"]) == (302, f"/mine/#conversation-{room.pk}")
    room.refresh_from_db()
    assert room.title == "My <b>room</b>"
    assert "My &lt;b&gt;room&lt;/b&gt;" in ada.get("/mine/").content.decode()
    assert ada.post(f"/mine/{room.pk}/clear/").status_code == 302
    *_, renamed, cleared = Event.objects.filter(stream_id=room.pk).order_by("version")
    assert (renamed.data, cleared.type) == (TitleChanged(room.title), "ConversationCleared")
    assert renamed.actor_id == cleared.actor_id == room.owner_actor_id
    assert not room.messages.exists()


def test_a_name_that_is_too_long_changes_nothing(ada: Client, user: Any) -> None:
    room = Conversation.objects.create(user=user, title="Kept")
    refused = ada.post(f"/mine/{room.pk}/rename/", {"title": "x" * 300})
    assert refused.status_code == 400
    assert "at most 255 characters, this one has 300" in refused.content.decode()
    room.refresh_from_db()
    assert room.title == "Kept"


def test_others_cannot_be_touched(ada: Client, others: Conversation) -> None:
    for act in ("rename", "clear"):
        for pk in (others.pk, 10**9, 2**64):
            assert ada.post(f"/mine/{pk}/{act}/", {"title": "Mine"}).status_code == 404
    others.refresh_from_db()
    assert others.title == "Grace's own"


def test_only_people_who_are_logged_in_and_only_with_a_token(user: Any) -> None:
    assert Client().get("/mine/")["Location"].endswith("?next=/mine/")
    assert Client().get("/mine/?panel").status_code == 401
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    assert strict.post("/mine/new/").status_code == 403
    assert strict.get("/mine/new/").status_code == 405
    assert strict.delete("/mine/").status_code in (403, 405)
    assert not Conversation.objects.exists()


def test_beside_a_chat_the_list_knows_which_one_is_open(ada: Client, user: Any) -> None:
    rooms = [Conversation.objects.create(user=user, title=f"<i>{n}</i>") for n in range(2)]
    here = f"http://testserver/chat/{rooms[0].pk}/?x=1"
    panel = ada.get("/mine/?panel", headers={"HX-Request": "true", "HX-Current-URL": here})
    text = panel.content.decode()
    assert text.count("aria-current") == 1
    assert f'href="/chat/{rooms[0].pk}/" dir="auto" aria-current="page">&lt;i&gt;0' in text
    assert 'id="turnlog-title" hx-swap-oob="innerHTML">&lt;i&gt;0&lt;/i&gt;<' in text
    assert "<html" not in text
    nowhere = ada.get("/mine/?panel", headers={"HX-Request": "true", "HX-Current-URL": "http://["})
    assert nowhere.status_code == 200
    assert "aria-current" not in nowhere.content.decode()


def test_it_speaks_korean(ada: Client, user: Any) -> None:
    Conversation.objects.create(user=user)
    with translation.override("ko"):
        page = ada.get("/mine/", headers={"Accept-Language": "ko"})
    assert "새 대화" in page.content.decode()


def test_a_list_without_an_address_for_its_chats_says_what_is_missing(ada: Client) -> None:
    with pytest.raises((ConfigurationError, ImproperlyConfigured), match="chat_url_name"):
        ada.post("/nowhere/new/")
