"""The review room's pages: who may see what, what they show, and what a wrong address says."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import pandas as pd
import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from langchain_core.messages import AIMessage
from PIL import Image

from tests.consumers.pictures import with_picture
from turnlog.consumers.review import urls, views
from turnlog.consumers.review.shown import LONGEST, payload_of
from turnlog.core import codec
from turnlog.core.readable import LARGE, Readable
from turnlog.events import accesses, reviews
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.events.types import ItemsAdded
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.queues import acts as queues
from turnlog.projections.queues import standing

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.project.review_urls")]

EVIL = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>'
USAGE: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}

# For each page: its address in the fixture's conversation, and whom it answers with 200.
PAGES = {
    "conversations": ("/review/", {"other", "owner", "reviewer", "inspector"}),
    "health": ("/review/health/", {"reviewer"}),
    "accesses": ("/review/accesses/", {"inspector"}),
    "queues": ("/review/queues/", {"reviewer"}),
    "queue": ("/review/queues/1/", {"reviewer"}),
    "conversation": ("/review/{pk}/", {"owner", "reviewer"}),
    "event": ("/review/{pk}/events/2/", {"owner", "reviewer"}),
    "picture": ("/review/{pk}/events/5/pictures/0/", {"owner"}),  # Masked for a reviewer.
    "file": ("/review/{pk}/events/9/files/1/", {"owner"}),  # As the picture.
    "given": ("/review/{pk}/given/3/", {"owner", "reviewer"}),
    "compare": ("/review/{pk}/compare/?a=1", {"owner", "reviewer"}),
}

# The same for what is done: address, form, and whom it leads on with 303.
ACTS: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "note": ("/review/{pk}/notes/", {"text": "about milk"}, {"reviewer"}),
    "withdraw": ("/review/{pk}/notes/2/withdraw/", {}, {"reviewer"}),
    "score": ("/review/{pk}/scores/", {"score-tone": "calm"}, {"reviewer"}),
    "sign_off": ("/review/{pk}/sign-off/", {"until": "3"}, {"reviewer"}),
    "reveal": ("/review/{pk}/reveal/", {"reason": "request 17"}, set()),
    "mask": ("/review/{pk}/mask/", {}, {"reviewer"}),
    "fork": ("/review/{pk}/fork/", {"at": "3"}, {"owner"}),
    "save_view": ("/review/views/save/", {"name": "Failed", "q": "state:failed"}, {"reviewer"}),
    "choose_view": ("/review/views/choose/", {"name": "Failed"}, {"reviewer"}),
    "remove_view": ("/review/views/remove/", {"name": "Failed"}, {"reviewer"}),
    "export": ("/review/export/", {"what": "messages", "form": "csv", "reason": "x"}, set()),
    "bundle": ("/review/{pk}/bundle/", {"reason": "x"}, set()),
    "decide": ("/review/{pk}/decide/", {"call": "0", "approved": "yes"}, set()),
    "erase": ("/review/{pk}/erase/", {"reason": "x"}, set()),
    "verify": ("/review/health/verify/", {}, set()),
    "search": ("/review/search/", {"q": "broken"}, {"other", "owner", "reviewer", "inspector"}),
    "find": ("/review/{pk}/find/", {"find": "broken"}, {"owner", "reviewer"}),
    "queue_open": ("/review/queues/open/", {"name": "Cups"}, set()),
    "queue_describe": ("/review/queues/1/describe/", {"name": "Cups"}, set()),
    "queue_state": ("/review/queues/1/state/", {"state": "paused"}, set()),
    "queue_fill": ("/review/queues/1/fill/", {"q": "state:failed"}, set()),
    "queue_next": ("/review/queues/1/next/", {}, {"reviewer"}),
    "queue_take": ("/review/queues/1/{pk}/take/", {}, {"reviewer"}),
    "queue_complete": ("/review/queues/1/{pk}/complete/", {}, {"reviewer"}),
    "queue_flag": ("/review/queues/1/{pk}/flag/", {"reason": "odd"}, {"reviewer"}),
    "queue_leave": ("/review/queues/1/{pk}/leave/", {}, {"reviewer"}),
    "queue_resolve": ("/review/queues/1/{pk}/resolve/", {}, set()),
    "queue_put_back": ("/review/queues/1/{pk}/back/", {}, set()),
    "inspect": ("/review/accesses/inspect/", {"until": "2"}, {"inspector"}),
}


@pytest.fixture
def room(user: Any) -> Conversation:
    room = Conversation.objects.create(user=user, title=f"A cup {EVIL}")
    prompt = Prompt("gpt-5", {"temperature": 0}, f"Be kind. {EVIL}", previous={"messages": []})
    turn = room.start_turn(f"It is broken {EVIL}", user=user, prompt=prompt)
    outputs = [
        {"tool": EVIL, "input": {"a": EVIL}, "output": EVIL},
        {"tool": "draw", "output": Image.new("RGB", (2, 2), "red")},
        {"tool": "clock", "output": "", "status": "error", "text": "no such file: /etc/x"},
        {"tool": "list", "output": pd.DataFrame({EVIL: [EVIL, "x" * 500], "b": [1, None]})},
    ]
    answer = AIMessage(f"I am **sorry** {EVIL}", usage_metadata=USAGE)
    room.record_turn(f"It is broken {EVIL}", answer, outputs, user=user, turn_id=turn.turn_id)
    failed = room.start_turn(with_picture("And when?"), user=user)
    room.fail_turn(failed.turn_id, error={"type": "RateLimitError", "text": "429 slow down"})
    number = queues.open_queue(EVIL, by=user, instructions=EVIL)
    append(standing.stream_of(number), [NewEvent(ItemsAdded([room.pk]))])
    return room


@pytest.fixture
def people(user: Any, django_user_model: Any) -> dict[str, Client]:
    other = django_user_model.objects.create_user("other")
    reviewer = django_user_model.objects.create_user("reviewer")
    reviewer.user_permissions.add(Permission.objects.get(codename="review_conversation"))
    made = {"nobody": Client()}
    inspector = django_user_model.objects.create_user("inspector")
    inspector.user_permissions.add(Permission.objects.get(codename="inspect_accesses"))
    named = {"owner": user, "other": other, "reviewer": reviewer, "inspector": inspector}
    for name, person in named.items():
        made[name] = Client()
        made[name].force_login(person)
    return made


@pytest.fixture
def reviewer(people: dict[str, Client]) -> Client:
    return people["reviewer"]


@pytest.fixture
def revealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Personal data is shown to reviewers, too."""
    later = timezone.now() + dt.timedelta(minutes=5)
    monkeypatch.setattr(views, "revealed_until", lambda request, pk: later)


def catch_up() -> None:
    Worker(named(["overview", "search", "usage"])).catch_up()


def text_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def test_every_page_is_in_the_table() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == {*PAGES, *ACTS}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_answers_those_who_may_see_it(
    name: str, room: Conversation, people: dict[str, Client]
) -> None:
    address, allowed = PAGES[name]
    address = address.format(pk=room.pk)
    for who, client in people.items():
        response = client.get(address)
        if who == "nobody":
            assert response.status_code == 302
            assert response["Location"].startswith("/accounts/login/?next=/review/")
        else:
            assert response.status_code == (200 if who in allowed else _refusal(name, who)), who
        assert b"sorry" not in response.content or who in allowed
        for method in ("post", "put", "delete"):
            assert getattr(client, method)(address).status_code == 405


def _refusal(name: str, who: str) -> int:
    """No page of a conversation tells whether there is one; that of the accesses is no secret."""
    return 403 if name in ("accesses", "inspect", "export", "verify") else 404


@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_for_those_who_may(
    name: str, room: Conversation, people: dict[str, Client], settings: Any
) -> None:
    settings.TURNLOG = {"SCORES": {"tone": ["calm", "rude"]}}
    assert people["reviewer"].post(f"/review/{room.pk}/notes/", {"text": "x"}).status_code == 303
    accesses.record("read", by=None, page="event", conversations=[room.pk], address="")
    before = Event.objects.count()
    address, form, allowed = ACTS[name]
    address = address.format(pk=room.pk)
    for who, client in people.items():
        assert client.get(address).status_code in (302, 405)
        response = client.post(address, form)
        if who == "nobody":
            assert response.status_code == 302
        elif who in allowed:
            assert response.status_code == 303, response.content.decode()
            assert client.get(response["Location"]).status_code == 200
            assert {"private", "no-store"} <= set(re.split(r",\s*", response["Cache-Control"]))
        elif who == "reviewer" or (name, who) == ("bundle", "owner"):
            # They may see the conversation, and not do this with it.
            assert response.status_code in (400, 403), who
        else:
            assert response.status_code == _refusal(name, who), who
        if not allowed:
            assert Event.objects.count() == before
    without = Client(enforce_csrf_checks=True)
    without.force_login(User.objects.get(username="reviewer"))
    assert without.post(address, form).status_code == 403


@pytest.mark.parametrize("name", PAGES)
def test_no_cache_keeps_a_page_and_no_frame_holds_it(
    name: str, room: Conversation, people: dict[str, Client]
) -> None:
    response = people[sorted(PAGES[name][1])[-1]].get(PAGES[name][0].format(pk=room.pk))
    assert response.status_code == 200
    assert {"private", "no-store"} <= set(re.split(r",\s*", response["Cache-Control"]))
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("name", PAGES)
def test_nothing_that_was_said_becomes_markup_and_nothing_is_inline(
    name: str, room: Conversation, people: dict[str, Client], user: Any
) -> None:
    catch_up()
    reviews.add_note(room.pk, EVIL, by=user, quote=EVIL)
    reviews.sign_off(room.pk, by=user, until=1, remark=EVIL)
    queues.flag(1, room.pk, EVIL, by=user)
    about: Any = {"page": EVIL, "conversations": [room.pk], "address": EVIL, "query": EVIL}
    accesses.record("exported", by=user, reason=EVIL, **about)
    response = people[sorted(PAGES[name][1])[-1]].get(PAGES[name][0].format(pk=room.pk))
    if name in ("picture", "file"):
        assert response["Content-Type"] == "image/png"
        assert response["X-Content-Type-Options"] == "nosniff"
        return
    shown = response.content.decode()
    for tag, given in Tags.of(shown):
        assert tag not in ("style", "iframe")
        assert tag != "img" or (given["src"] or "").startswith(f"/review/{room.pk}/events/")
        assert tag != "script" or "src" in given
        assert not [name for name in given if name.startswith("on") or name == "style"]
        assert "javascript:" not in "".join(filter(None, given.values()))


class Tags(HTMLParser):
    """The tags of a page, and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    @classmethod
    def of(cls, page: str) -> list[tuple[str, dict[str, str | None]]]:
        parser = cls()
        parser.feed(page)
        assert parser.found
        return parser.found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_number_tells_nobody_whether_there_is_a_conversation(
    room: Conversation, people: dict[str, Client]
) -> None:
    for pk in (room.pk, room.pk + 1, 2**63 - 1, 2**63, 10**40):
        for page in ("", "events/1/", "given/1/", "compare/"):
            assert people["other"].get(f"/review/{pk}/{page}").status_code == 404


def test_the_list_shows_what_one_may_review(room: Conversation, people: dict[str, Client]) -> None:
    other = Conversation.objects.create(title="Another's")
    other.record_turn("hello", AIMessage("hi"))
    catch_up()
    rows = {
        who: text_of(people[who], "/review/").count("<tr>") - 1 for who in ("owner", "reviewer")
    }
    assert rows == {"owner": 1, "reviewer": 2}
    assert "No conversation is like that." in text_of(people["other"], "/review/")
    assert text_of(people["reviewer"], "/review/?q=broken").count("<tr>") == 2
    assert text_of(people["owner"], "/review/?q=hello").count("<tr>") == 0


def test_a_rule_of_the_projects_own(
    room: Conversation, people: dict[str, Client], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.consumers.test_review.may", lambda user, conversation: False)
    settings.TURNLOG = {"CAN_REVIEW": "tests.consumers.test_review.may"}
    catch_up()
    assert people["reviewer"].get(f"/review/{room.pk}/").status_code == 404
    assert "<tr>" not in text_of(people["owner"], "/review/")
    monkeypatch.setattr(
        "tests.consumers.test_review.may", lambda user, conversation: user.username == "other"
    )
    assert text_of(people["other"], "/review/").count("<tr>") == 2
    assert people["other"].get(f"/review/{room.pk}/").status_code == 200


def may(user: Any, conversation: Conversation) -> bool:
    raise NotImplementedError


def test_a_conversation_is_shown_as_it_was_said_and_as_it_was_recorded(
    room: Conversation, reviewer: Client
) -> None:
    room.clear()
    room.hold(reason="case 1")
    shown = text_of(reviewer, f"/review/{room.pk}/")
    for words in (
        "It is broken &lt;img",
        "<strong>sorry</strong>",
        "RateLimitError: 429 slow down",
        "no such file: /etc/x",
        "7 tokens",
        "cleared since",
    ):
        assert words in shown, words
    for event in Event.objects.filter(stream_id=room.pk):
        assert f"/review/{room.pk}/events/{event.version}/" in shown
        assert event.type in shown


def test_a_past_moment_has_nothing_that_came_later(room: Conversation, reviewer: Client) -> None:
    for version, there, gone in (
        (1, "ConversationOpened", "It is broken"),
        (2, "It is broken", "sorry"),
        (8, "sorry", "And when?"),
        (9, "And when?", "RateLimitError"),
    ):
        shown = text_of(reviewer, f"/review/{room.pk}/?at={version}")
        assert there in shown
        assert gone not in shown


def test_a_turn_that_was_erased_stays_as_such(room: Conversation, reviewer: Client) -> None:
    turn_id = room.messages.values_list("turn_id", flat=True)[0]
    room.erase([turn_id], reason="request 7")
    shown = text_of(reviewer, f"/review/{room.pk}/")
    assert "for request 7" in shown
    assert "broken" not in shown.replace("A cup", "")
    assert "This payload was erased." in text_of(reviewer, f"/review/{room.pk}/events/2/")
    assert reviewer.get(f"/review/{room.pk}/given/8/").status_code == 400


def test_turns_are_reached_page_by_page(user: Any, reviewer: Client) -> None:
    room = Conversation.objects.create(user=user)
    for number in range(120):
        room.record_turn(f"question {number:03}.", AIMessage("ok"), user=user)
        if number % 40 == 0:
            room.clear()
    address, seen = f"/review/{room.pk}/", ""
    for _ in range(3):
        shown = text_of(reviewer, address)
        seen = shown + seen
        earlier = re.search(r'rel="prev" href="(\?[^"]+)"', shown)
        address = f"/review/{room.pk}/{earlier[1] if earlier else ''}"
    assert earlier is None
    found = re.findall(r"question (\d+)\.", seen)
    assert found == [f"{number:03}" for number in range(120)]
    assert seen.count('data-type="ConversationCleared"') == 3


@pytest.mark.parametrize("name", ["conversation", "compare"])
def test_the_queries_do_not_grow_with_the_number_of_people(
    name: str, reviewer: Client, django_user_model: Any
) -> None:
    text_of(reviewer, "/review/?q=warm")  # As above.
    counts = []
    for people in (2, 40):
        room = Conversation.objects.create()
        for number in range(people):
            user = django_user_model.objects.create_user(f"person{people}-{number}")
            room.record_turn("question", AIMessage("ok"), user=user)
            room.title, room.changed_by = f"Title {number}", user
            room.save()
        with CaptureQueriesContext(connection) as queries:
            shown = text_of(reviewer, PAGES[name][0].format(pk=room.pk))
        assert f"person{people}-0" in shown
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", ["conversations", "conversation", "compare"])
def test_the_queries_do_not_grow_with_the_conversation(
    name: str, user: Any, reviewer: Client
) -> None:
    text_of(reviewer, "/review/?q=warm")  # This month's accesses have a stream from here on.
    counts = []
    for turns in (60, 160):
        room = Conversation.objects.create(user=user)
        for _ in range(turns):
            room.record_turn("question", AIMessage("ok"), user=user)
        catch_up()
        with CaptureQueriesContext(connection) as queries:
            text_of(reviewer, PAGES[name][0].format(pk=room.pk))
        counts.append(len(queries))
    assert counts[0] == counts[1] < 40


WRONG = {
    "?at=x": "found x",
    "?at=0": "found 0",
    "?at=-1": "found -1",
    "?at=99999999999999999999": "found 99999999999999999999",
    "?at=99": "99",
    "?before=%00": "Expected a version",
    "compare/?a=1&b=%F0%9F%98%80": "Expected a version",
    "given/1/": "turn",
    "given/99999999999999/": "found 99999999999999",
    "given/3/?call=9": "call",
}


@pytest.mark.parametrize("address", WRONG)
def test_a_wrong_address_is_said(address: str, room: Conversation, reviewer: Client) -> None:
    response = reviewer.get(f"/review/{room.pk}/{address}")
    assert response.status_code == 400
    assert WRONG[address] in response.content.decode()
    assert 'role="alert"' in response.content.decode()


@pytest.mark.parametrize("query", ["state:good", "a" * 1001, "user:", "&after=x"])
def test_a_wrong_query_is_said(query: str, room: Conversation, reviewer: Client) -> None:
    catch_up()
    response = reviewer.get(f"/review/?q={query}")
    assert response.status_code == 400
    assert b'role="alert"' in response.content


@pytest.mark.parametrize("version", [0, 99, 2**31, 10**30])
def test_an_event_that_is_not_there(version: int, room: Conversation, reviewer: Client) -> None:
    assert reviewer.get(f"/review/{room.pk}/events/{version}/").status_code == 404


def test_a_long_payload_is_cut_in_the_page_alone(room: Conversation, reviewer: Client) -> None:
    room.record_turn("long", AIMessage("word " * 10_000 + "the end"), user=room.user)
    last = Event.objects.filter(stream_id=room.pk).order_by("-version")[0].version
    address = f"/review/{room.pk}/events/{last}/"
    assert "the end" not in text_of(reviewer, address)
    assert "Show all" in text_of(reviewer, address)
    assert "the end" in text_of(reviewer, f"{address}?whole")


def test_a_payload_that_is_too_large_for_a_page_is_a_file(
    room: Conversation, reviewer: Client, revealed: None
) -> None:
    room.record_turn("long", AIMessage("<b>" * 500_000), user=room.user)
    last = Event.objects.filter(stream_id=room.pk).order_by("-version")[0]
    address = f"/review/{room.pk}/events/{last.version}/"
    assert len(text_of(reviewer, address)) < 200_000
    file = reviewer.get(f"{address}?whole")
    assert file.content.decode() == codec.dumps(AIMessage("<b>" * 500_000))
    assert file["Content-Type"] == "application/json"
    assert file["Content-Disposition"].startswith("attachment")
    assert file["X-Content-Type-Options"] == "nosniff"


def test_a_payload_that_nests_deeply_stays_small_on_a_page(reviewer: Client) -> None:
    inner = "[" * 400 + ",".join(["1"] * 10_000) + "]" * 400
    event = Event(type="MessageAppended", payload=inner)
    for whole, most in ((False, LONGEST), (True, LARGE)):
        shown = payload_of(event, whole=whole)
        assert shown is not None
        assert len(shown.text) == most
        assert shown.cut
    for stored, text in (('{"a": 1}', '{\n  "a": 1\n}'), ("no JSON", "no JSON")):
        assert payload_of(Event(payload=stored)) == Readable(text, cut=False)


def test_a_long_prompt_is_cut_in_the_page(room: Conversation, reviewer: Client) -> None:
    previous = {"messages": [{"_type": "str", "_value": [f"said {n}"]} for n in range(300)]}
    turn = room.start_turn("word " * 9_000, user=room.user, prompt=Prompt("m", previous=previous))
    room.fail_turn(turn.turn_id)
    head = Event.objects.filter(stream_id=room.pk).count()
    shown = text_of(reviewer, f"/review/{room.pk}/given/{head}/")
    assert "101 messages before these" in shown
    assert shown.count("said ") == 199
    assert len(shown) < 60_000


def test_large_turns_come_on_more_pages(user: Any, reviewer: Client) -> None:
    room = Conversation.objects.create(user=user)
    for number in range(7):
        outputs = [{"tool": "t", "output": ["x" * 1_000] * 2_000}]
        room.record_turn(f"question {number}.", AIMessage("ok"), outputs, user=user)
    address, seen, pages = f"/review/{room.pk}/", [], 0
    while address:
        shown = text_of(reviewer, address)
        seen[:0] = re.findall(r"question (\d)\.", shown)
        earlier = re.search(r'rel="prev" href="(\?[^"]+)"', shown)
        address = f"/review/{room.pk}/{earlier[1]}" if earlier else ""
        pages += 1
    assert seen == [str(number) for number in range(7)]
    assert pages == 4


def test_two_moments_are_compared_by_turn(room: Conversation, reviewer: Client) -> None:
    room.clear()
    room.record_turn("after", AIMessage("ok"), user=room.user)
    shown = text_of(reviewer, f"/review/{room.pk}/compare/?a=8")
    assert "1 came, 1 went, 0 changed" in shown
    assert "0 came, 0 went, 1 changed" in text_of(reviewer, f"/review/{room.pk}/compare/?a=2&b=8")


def test_in_korean(room: Conversation, reviewer: Client, settings: Any) -> None:
    settings.LANGUAGE_CODE = "ko"
    catch_up()
    for address, word in (("", "대화"), (f"{room.pk}/", "모델에 주어진 내용"), ("health/", "상태")):
        assert word in text_of(reviewer, f"/review/{address}")


def test_pictures_and_tables_are_shown_as_such(
    room: Conversation, reviewer: Client, revealed: None
) -> None:
    shown = text_of(reviewer, f"/review/{room.pk}/")
    address = f"/review/{room.pk}/events/5/pictures/0/"
    assert f'src="{address}"' in shown
    with Image.open(BytesIO(reviewer.get(address).content)) as picture:
        assert picture.getpixel((0, 0)) == (255, 0, 0)
    assert re.search(r'<td dir="auto">x{200} …</td>\s*<td dir="auto">nan</td>', shown)
    assert reviewer.get(address.replace("s/0", "s/1")).status_code == 404
    for version in (1, 4, 6, 99, 2**40):
        missing = reviewer.get(f"/review/{room.pk}/events/{version}/pictures/0/")
        assert missing.status_code == 404


def test_words_are_found_inside_a_conversation(room: Conversation, reviewer: Client) -> None:
    catch_up()
    address = f"/review/{room.pk}/"
    shown = text_of(reviewer, f"{address}?find=sorry")
    assert "I am **sorry** &lt;img" in shown
    assert "Nobody said that here." in text_of(reviewer, f"{address}?find=sorry&at=2")
    assert "Nobody said that here." not in text_of(reviewer, f"{address}?find=")
    turn_id = room.messages.values_list("turn_id", flat=True)[0]
    room.erase([turn_id], reason="request 7")
    assert "Nobody said that here." in text_of(reviewer, f"{address}?find=sorry")


def test_health_says_what_is_not_known(room: Conversation, reviewer: Client) -> None:
    shown = text_of(reviewer, "/review/health/")
    assert "none: unknown whether the log was changed" in shown
    assert "unknown: run verify_log --record" in shown
    assert 'data-state="well">current' in shown  # The message list is made with each append.
    unknown = shown.count("no worker has run it yet")
    catch_up()
    shown = text_of(reviewer, "/review/health/")
    assert shown.count("no worker has run it yet") == unknown - 3
    assert re.search(r"<td>gpt-5</td>|>gpt-5<", shown)


def test_an_owner_sees_nothing_of_those_who_were_there_before(
    people: dict[str, Client], user: Any, django_user_model: Any, revealed: None
) -> None:
    before = django_user_model.objects.create_user("before")
    room = Conversation.objects.create()
    prompt = Prompt("gpt-5", previous={"messages": []})
    turn = room.start_turn("a secret", user=before, prompt=prompt)
    outputs = [{"tool": "draw", "output": Image.new("RGB", (2, 2), "red")}]
    room.record_turn("a secret", AIMessage("oh"), outputs, user=before, turn_id=turn.turn_id)
    room.user = user
    room.save()
    room.record_turn("my own words", AIMessage("ok"), user=user)
    catch_up()
    last = Event.objects.filter(stream_id=room.pk).order_by("-version")[0].version
    pages = ["", "?at=5", "compare/?a=1", *(f"events/{v}/" for v in range(1, last + 1))]
    pages += [f"events/{v}/pictures/0/" for v in range(1, last + 1)]
    pages += [f"given/{v}/" for v in range(1, last + 1)] + ["?find=secret"]
    for who, sees in (("owner", False), ("reviewer", True)):
        said = [people[who].get(f"/review/{room.pk}/{page}") for page in pages]
        found = [response for response in said if b"a secret" in response.content]
        assert bool(found) is sees
        assert any(response["Content-Type"] == "image/png" for response in said) is sees
        assert any(b"my own words" in response.content for response in said)
        listed = text_of(people[who], "/review/?q=secret").count("<tr>")
        assert listed == (2 if sees else 0)
        assert text_of(people[who], "/review/?q=own").count("<tr>") == 2


def test_turns_of_other_branches_say_so(room: Conversation, reviewer: Client) -> None:
    replaced, after, current = (uuid.uuid4() for _ in range(3))
    room.record_turn("first words", AIMessage("one"), turn_id=replaced)
    room.record_turn("went with it", AIMessage("two"), turn_id=after)
    room.record_turn("other words", AIMessage("three"), turn_id=current, instead_of=replaced)
    began = {
        event.turn_id: event.version
        for event in Event.objects.filter(stream_id=room.pk).order_by("-version")
    }
    page = reviewer.get(f"/review/{room.pk}/").content.decode()
    assert f'<a href="#turn-{began[current]}">replaced, not current</a>' in page
    assert page.count("not in the current branch") == 1
    before = began[current] - 2
    page = reviewer.get(f"/review/{room.pk}/?at={before}").content.decode()
    assert "not current" not in page
    assert "not in the current branch" not in page
    catch_up()
    page = reviewer.get(f"/review/{room.pk}/?find=went").content.decode()
    assert page.count("not in the current branch") == 2
