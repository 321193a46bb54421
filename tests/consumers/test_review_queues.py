"""Queues in the review room: their pages, the bar above an item, and who sees what."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.consumers.test_review import EVIL, Tags
from tests.projections.queues import SCORES, Clock, counts, filled, rooms
from turnlog.consumers.review import recording
from turnlog.events.models import Conversation
from turnlog.projections.models import Access, Queue, QueueItem, QueueMark, Remark
from turnlog.projections.queues import acts, listing
from turnlog.projections.queues.deciding import LOCK_SECONDS

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.project.review_urls")]

CALM = {"score-tone": "calm", "score-quality": "3"}
RUDE = {**CALM, "score-tone": "rude"}


@pytest.fixture(autouse=True)
def _scores(settings: Any) -> None:
    settings.TURNLOG = {"SCORES": SCORES}
    recording._looks.forget()


def client_of(name: str, *permissions: str) -> Client:
    person, _ = User.objects.get_or_create(username=name)
    codes = ("review_conversation", *permissions)
    person.user_permissions.set(Permission.objects.filter(codename__in=codes))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def rita(db: None) -> Client:
    return client_of("rita")


@pytest.fixture
def rob(db: None) -> Client:
    return client_of("rob")


@pytest.fixture
def lead(db: None) -> Client:
    return client_of("lead", "manage_queues", "resolve_reviews")


def text_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def led_on(client: Client, address: str, form: dict[str, Any] | None = None) -> str:
    response = client.post(address, form or {})
    assert response.status_code == 303, response.content.decode()
    return str(response["Location"])


def test_from_opening_a_queue_to_its_end(
    lead: Client, rita: Client, rob: Client, user: Any
) -> None:
    first, second = rooms(2, user)
    form = {"name": "Cups", "instructions": "Look twice.", "reviewers": "2", "score": ["tone"]}
    assert led_on(lead, "/review/queues/open/", form) == "/review/queues/1/"
    assert led_on(lead, "/review/queues/1/fill/", {"q": "", "percent": "100"})
    shown = text_of(rita, "/review/queues/")
    assert "Cups" in shown
    assert "pending</span> 2" in shown
    assert "Open a queue" not in shown
    assert "Open a queue" in text_of(lead, "/review/queues/")

    at = led_on(rita, "/review/queues/1/next/")
    assert at == f"/review/{first.pk}/?queue=1"
    shown = text_of(rita, at)
    for words in ("Look twice.", "item 1 of 2", "0 of 2 reviewers", "Complete and next"):
        assert words in shown
    assert 'name="score-quality" size' not in shown.split("review-desk")[0]
    after = led_on(rita, f"/review/queues/1/{first.pk}/complete/", {**CALM, "place": "1"})
    assert after == f"/review/{second.pk}/?queue=1"
    assert led_on(rob, "/review/queues/1/next/") == at
    led_on(rob, f"/review/queues/1/{first.pk}/complete/", {**RUDE, "place": "1"})
    assert counts(1) == {"awaiting": 1, "in_progress": 1}
    assert "Resolve" not in text_of(rob, at)
    shown = text_of(lead, at)
    assert ">Resolve<" in shown
    assert led_on(lead, f"/review/queues/1/{first.pk}/resolve/", RUDE) == at
    assert counts(1) == {"completed": 1, "in_progress": 1}

    flag = {"reason": "in Latin", "place": "2"}
    assert led_on(rob, f"/review/queues/1/{second.pk}/flag/", flag) == (
        "/review/queues/1/?nothing=1"
    )
    assert "nothing left for you" in text_of(rob, "/review/queues/1/?nothing=1")
    assert "in Latin" in text_of(lead, "/review/queues/1/?status=flagged")
    led_on(lead, f"/review/queues/1/{second.pk}/back/")
    assert counts(1) == {"completed": 1, "pending": 1}
    led_on(lead, "/review/queues/1/state/", {"state": "archived"})
    assert "Cups" not in text_of(rita, "/review/queues/")
    assert "Cups" in text_of(rita, "/review/queues/?archived")
    assert "Complete and next" not in text_of(rita, f"/review/{second.pk}/?queue=1")


def test_nobody_sees_others_scores_before_they_have_given_theirs(
    rita: Client, rob: Client, lead: Client, user: Any
) -> None:
    """Each moment: who reads rita's "rude" on the page, with the queue's bar and without it."""
    [room] = rooms(1, user)
    number = filled(user, reviewers=2)
    inspector = client_of("inspector", "reveal_personal_data")
    everybody = {"rita": rita, "rob": rob, "lead": lead, "inspector": inspector}

    def readers() -> set[str]:
        found = set()
        for name, client in everybody.items():
            pages = [f"/review/{room.pk}/", f"/review/{room.pk}/?queue={number}"]
            read = {"a sharp word" in text_of(client, page) for page in pages}
            assert len(read) == 1, name
            others = ("/review/", "/review/queues/", f"/review/queues/{number}/")
            assert not any("a sharp word" in text_of(client, page) for page in others)
            found |= {name} if read.pop() else set()
        return found

    comment = {"comment": "a sharp word"}
    led_on(rita, f"/review/queues/{number}/{room.pk}/complete/", {**RUDE, **comment})
    assert readers() == {"rita"}
    led_on(rita, f"/review/{room.pk}/notes/", {"text": "about milk"})
    assert "about milk" in text_of(rob, f"/review/{room.pk}/")
    led_on(rob, f"/review/queues/{number}/{room.pk}/complete/", CALM)
    assert readers() == {"rita", "rob", "lead"}
    led_on(lead, f"/review/queues/{number}/{room.pk}/resolve/", CALM)
    assert readers() == set(everybody)


def test_what_is_hidden_is_not_counted(rita: Client, rob: Client, user: Any) -> None:
    """The list, and the page of the item, are the same whether somebody gave a score or not."""
    [room] = rooms(1, user)
    number = filled(user, reviewers=2)
    pages = ("/review/", f"/review/{room.pk}/")

    def seen() -> list[str]:
        return [re.sub(r'value="[\w]{64}"', "", text_of(rob, page)) for page in pages]

    before = seen()
    acts.complete(
        number,
        room.pk,
        {"tone": "rude", "quality": 1},
        by=User.objects.get(username="rita"),
        comment="no",
    )
    assert seen() == before


def test_notes_and_scores_keep_the_item_and_lead_back_to_it(
    rita: Client, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    [room] = rooms(1, user)
    number = filled(user)
    led_on(rita, f"/review/queues/{number}/{room.pk}/take/")
    for address, form in (
        ("notes/", {"text": "about milk"}),
        ("scores/", {"score-tone": "calm"}),
        ("sign-off/", {"until": "2"}),
    ):
        clock.go(seconds=LOCK_SECONDS - 1)
        at = led_on(rita, f"/review/{room.pk}/{address}", {**form, "queue": str(number)})
        assert at == f"/review/{room.pk}/?queue={number}"
        assert "Complete and next" in text_of(rita, at)
    found = led_on(rita, f"/review/{room.pk}/find/", {"find": "cup", "queue": str(number)})
    assert "review-queue" in text_of(rita, found)
    # To look at it is no work.
    for _minute in range(5):
        clock.go(seconds=LOCK_SECONDS / 5)
        text_of(rita, at)
    assert "Take this item" in text_of(rita, at)
    response = rita.post(f"/review/{room.pk}/notes/", {"text": "x", "queue": "7"})
    assert response.status_code == 400
    assert Remark.objects.filter(kind="note").count() == 1


def test_what_is_skipped_is_said(rita: Client, user: Any, settings: Any) -> None:
    erased, hidden, left = rooms(3, user)
    number = filled(user)
    erased.erase(reason="request 1")
    settings.TURNLOG = {"SCORES": SCORES, "CAN_REVIEW": f"{__name__}.is_not_room_1"}
    at = led_on(rita, f"/review/queues/{number}/next/")
    assert at == f"/review/{left.pk}/?queue={number}&skipped=2"
    assert "2 items were skipped" in text_of(rita, at)
    shown = text_of(rita, f"/review/queues/{number}/")
    assert "not for you to see" in shown
    assert f"/review/{hidden.pk}/" not in shown
    for act in ("take", "complete", "flag", "leave"):
        address = f"/review/queues/{number}/{hidden.pk}/{act}/"
        assert rita.post(address, {**CALM, "reason": "x"}).status_code == 404
    led_on(rita, f"/review/queues/{number}/{left.pk}/complete/", {**CALM, "place": "3"})
    at = led_on(rita, f"/review/queues/{number}/next/")
    assert at == f"/review/queues/{number}/?nothing=1&skipped=1"
    assert "1 item was skipped" in text_of(rita, at)


def is_not_room_1(user: Any, room: Conversation) -> bool:
    return room.title != "Room 1"


def test_a_rule_of_the_projects_own_makes_nobody_a_reviewer_of_queues(
    user: Any, settings: Any
) -> None:
    [room] = rooms(1, user)
    number = filled(user)
    settings.TURNLOG = {"SCORES": SCORES, "CAN_REVIEW": f"{__name__}.is_not_room_1"}
    client = Client()
    client.force_login(user)
    assert client.get(f"/review/{room.pk}/").status_code == 200
    assert "review-queue" not in text_of(client, f"/review/{room.pk}/?queue={number}")
    for address in ("", f"{number}/"):
        assert client.get(f"/review/queues/{address}").status_code == 404
    assert client.post(f"/review/queues/{number}/next/").status_code == 404


def test_counts_and_items_come_from_the_same_query(rita: Client, user: Any) -> None:
    made = rooms(8, user)
    number = filled(user, reviewers=2)
    rob = User.objects.create_user("robert")
    acts.complete(number, made[0].pk, {"tone": "calm", "quality": 1}, by=user)
    acts.take(number, made[1].pk, by=rob)
    acts.flag(number, made[2].pk, "odd", by=user)
    for who, quality in ((user, 1), (rob, 2)):
        acts.complete(number, made[3].pk, {"tone": "calm", "quality": quality}, by=who)
        acts.complete(number, made[4].pk, {"tone": "calm", "quality": 1}, by=who)
    by_status = counts(number)
    assert by_status == {
        "pending": 3,
        "in_progress": 2,
        "awaiting": 1,
        "flagged": 1,
        "completed": 1,
    }
    for status in listing.STATUSES:
        shown = text_of(rita, f"/review/queues/{number}/?status={status}")
        rows = re.findall(rf'href="/review/(\d+)/\?queue={number}"', shown)
        assert len(rows) == by_status.get(status, 0), status
    shown = text_of(rita, f"/review/queues/{number}/")
    for status, n in by_status.items():
        assert re.search(rf'href="\?status={status}">[^<]* {n}</a>', shown), status


def test_items_come_page_by_page(rita: Client, user: Any) -> None:
    made = rooms(120, user)
    number = filled(user)
    seen: list[int] = []
    address, pages = f"/review/queues/{number}/?status=pending", 0
    while address:
        shown, pages = text_of(rita, address), pages + 1
        seen += map(int, re.findall(rf'href="/review/(\d+)/\?queue={number}"', shown))
        later = re.search(r'rel="next" href="([^"]+)"', shown)
        address = f"/review/queues/{number}/{later[1].replace('&amp;', '&')}" if later else ""
    assert pages == 3
    assert seen == [room.pk for room in made]
    assert sum(row.conversations.count("\n") - 1 for row in Access.objects.all()) == 120


def test_pages_take_the_same_queries_for_many(rita: Client, user: Any) -> None:
    number = filled(user)
    asked = []
    for many in (3, 40):
        made = rooms(many, user)
        acts.fill(number, "", by=user)
        for place, room in enumerate(made[:30]):
            by = User.objects.create_user(f"reviewer {many} {place}")
            acts.flag(number, room.pk, "odd", by=by)
        recording._looks.forget()
        for _again in range(2):  # The second time, looks are on record.
            with CaptureQueriesContext(connection) as queries:
                text_of(rita, f"/review/queues/{number}/")
                text_of(rita, f"/review/{made[0].pk}/?queue={number}")
                text_of(rita, "/review/queues/")
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_words_fill_a_queue_for_those_who_may_know_who_said_them(lead: Client, user: Any) -> None:
    rooms(2, user)
    number = acts.open_queue("Cups", by=user)
    address = f"/review/queues/{number}/fill/"
    response = lead.post(address, {"q": "cup"})
    assert response.status_code == 400
    assert "reveal personal data" in response.content.decode()
    assert not QueueItem.objects.exists()
    client_of("lead", "manage_queues", "reveal_personal_data")
    led_on(lead, address, {"q": "cup", "percent": "100", "seed": "winter"})
    assert QueueItem.objects.count() == 2
    shown = text_of(lead, f"/review/queues/{number}/")
    assert "winter" in shown
    assert "2 conversations found" in shown
    [look] = Access.objects.filter(page=f"queue {number}", query="cup")
    assert look.action == "listed"


@pytest.mark.parametrize(
    ("address", "form", "sentence"),
    [
        ("open/", {"name": ""}, "a name of 1 to 100 characters, found 0"),
        ("open/", {"name": "x", "reviewers": "11"}, "1 to 10 reviewers, found 11"),
        ("open/", {"name": "x", "reviewers": "two"}, "found two"),
        ("open/", {"name": "x", "score": "smell"}, "found smell"),
        ("1/state/", {"state": "closed"}, "found closed"),
        ("1/fill/", {"percent": "many"}, "found many"),
        ("1/fill/", {"percent": "nan"}, "found nan"),
        ("1/fill/", {"percent": "0"}, "up to 100, found 0"),
        ("1/fill/", {"q": "colour:red"}, "Expected one of"),
        ("1/{pk}/complete/", {"score-tone": "calm"}, "for each of quality"),
        ("1/{pk}/complete/", {**CALM, "score-quality": "9"}, "expected 1..5, found 9"),
        ("1/{pk}/flag/", {"reason": " "}, "a reason of 1 to 2000 characters, found 0"),
        ("1/{pk}/resolve/", CALM, "Nobody has to resolve this item"),
        ("1/{pk}/back/", {}, "not flagged"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    address: str, form: dict[str, Any], sentence: str, lead: Client, user: Any
) -> None:
    [room] = rooms(1, user)
    filled(user)
    response = lead.post(f"/review/queues/{address.format(pk=room.pk)}", form)
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert Queue.objects.count() == 1
    assert not QueueMark.objects.exists()
    assert not Remark.objects.exists()


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("queues/7/", 404),
        (f"queues/{2**40}/", 404),
        (f"queues/{10**30}/", 404),
        ("queues/1/?status=closed", 400),
        ("queues/1/?after=x", 400),
        ("queues/?before=0", 400),
        ("{pk}/?queue=x", 400),
        ("{pk}/?queue=7", 400),
        ("{other}/?queue=1", 400),
    ],
)
def test_a_wrong_address_is_answered(address: str, status: int, rita: Client, user: Any) -> None:
    [room] = rooms(1, user)
    filled(user)
    other = Conversation.objects.create(user=user)
    other.clear()
    address = address.format(pk=room.pk, other=other.pk)
    assert rita.get(f"/review/{address}").status_code == status


def test_nothing_of_a_queue_becomes_markup(lead: Client, user: Any) -> None:
    [room] = rooms(1, user)
    number = acts.open_queue(EVIL[:100], by=user, instructions=EVIL)
    acts.fill(number, "", by=user, seed=EVIL[:64])
    acts.flag(number, room.pk, EVIL, by=user)
    for address in ("queues/", f"queues/{number}/", f"{room.pk}/?queue={number}"):
        shown = text_of(lead, f"/review/{address}")
        assert EVIL[:20] not in shown
        for tag, given in Tags.of(shown):
            assert tag != "script" or "src" in given
            assert not [name for name in given if name.startswith("on") or name == "style"]
