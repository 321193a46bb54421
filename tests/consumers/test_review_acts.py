"""The review room's desk: notes, scores, sign-offs, what is revealed, and the log of accesses."""

from __future__ import annotations

import datetime as dt
import html
import io
import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from langchain_core.messages import AIMessage

from turnlog.consumers.review import recording, revealing
from turnlog.consumers.review.sealing import BadSeal, sealed, unsealed
from turnlog.core.errors import ConfigurationError
from turnlog.events import accesses, reviews
from turnlog.events.log import read_all
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.events.store.append_only import triggers_suspended
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import Access, Remark, SavedView

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.project.review_urls")]


@pytest.fixture(autouse=True)
def _nothing_was_seen_before() -> None:
    recording._looks.forget()


@pytest.fixture
def room(user: Any) -> Conversation:
    room = Conversation.objects.create(user=user, title="A cup")
    prompt = Prompt("gpt-5", {}, "Be kind.", previous={"messages": []})
    begun = room.start_turn("It is broken", user=user, prompt=prompt)
    room.record_turn("It is broken", AIMessage("I am sorry."), user=user, turn_id=begun.turn_id)
    return room


@pytest.fixture
def turn(room: Conversation) -> str:
    return str(Event.objects.get(stream_id=room.pk, version=2).turn_id)


def client_with(name: str, *permissions: str) -> Client:
    person, _ = User.objects.get_or_create(username=name)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def rita(db: None) -> Client:
    return client_with("rita", "review_conversation")


def text_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content.decode()
    return response.content.decode()


def catch_up() -> None:
    Worker(named(["overview", "search", "usage"])).catch_up()


def test_a_note_stands_where_it_was_written(room: Conversation, rita: Client, turn: str) -> None:
    form = {"text": "Refund <b>them</b>", "quote": "broken", "turn": turn, "shown": "2", "at": "3"}
    response = rita.post(f"/review/{room.pk}/notes/", form)
    assert response["Location"] == f"/review/{room.pk}/?at=3#turn-2"
    shown = text_of(rita, f"/review/{room.pk}/")
    article = shown[shown.index('id="turn-2"') :]
    assert "Refund &lt;b&gt;them&lt;/b&gt;" in article
    assert "<blockquote" in article
    withdraw = re.search(r'action="([^"]+withdraw/)"', article)
    assert withdraw is not None
    assert rita.post(withdraw[1], {"shown": "2"})["Location"] == f"/review/{room.pk}/#turn-2"
    assert "Refund" not in text_of(rita, f"/review/{room.pk}/")


def test_owners_do_not_see_what_reviewers_wrote(
    room: Conversation, rita: Client, user: Any, turn: str
) -> None:
    rita.post(f"/review/{room.pk}/notes/", {"text": "a difficult customer", "turn": turn})
    catch_up()
    owner = Client()
    owner.force_login(user)
    for address in (f"/review/{room.pk}/", "/review/"):
        shown = text_of(owner, address)
        assert "difficult" not in shown
        assert "Notes" not in shown
    for query in ("has:note", "reviewed:none", "-has:tool,note"):
        response = owner.get("/review/", {"q": query})
        assert response.status_code == 400
        assert b"Only reviewers" in response.content


def test_nobody_withdraws_anothers_note(room: Conversation, rita: Client) -> None:
    rita.post(f"/review/{room.pk}/notes/", {"text": "mine"})
    note = Remark.objects.get()
    other = client_with("rob", "review_conversation")
    assert "withdraw" not in text_of(other, f"/review/{room.pk}/")
    response = other.post(f"/review/{room.pk}/notes/{note.version}/withdraw/")
    assert response.status_code == 400
    assert b"Expected a note of your own" in response.content
    assert Remark.objects.exists()


BAD_FORMS = {
    "no words": ("notes", {"text": "  "}, "Expected the words of a note"),
    "too many words": ("notes", {"text": "x" * 10_001}, "at most 10000 characters, found 10001"),
    "no turn": ("notes", {"text": "x", "turn": "seven"}, "Expected the id of a turn, found seven"),
    "no such turn": ("notes", {"text": "x", "turn": str(uuid.uuid4())}, "there is no turn"),
    "no score": ("scores", {}, "Expected a score, found none"),
    "another score": ("scores", {"score-smell": "5"}, "Expected a score of tone, quality, ok"),
    "another value": ("scores", {"score-tone": "loud"}, "tone: expected calm, rude, found loud"),
    "no number": ("scores", {"score-quality": "many"}, "quality: expected 1..5, found many"),
    "too large": ("scores", {"score-quality": "1e400"}, "quality: expected 1..5, found inf"),
    "nan": ("scores", {"score-quality": "nan"}, "quality: expected 1..5, found nan"),
    "neither": ("scores", {"score-ok": "perhaps"}, "ok: expected True, False, found perhaps"),
    "one is wrong": ("scores", {"score-tone": "calm", "score-ok": "5"}, "found 5"),
    "no version": ("sign-off", {}, "Expected a version of conversation"),
    "later": ("sign-off", {"until": "99"}, "Expected a version of conversation"),
    "bad version": ("sign-off", {"until": "-1"}, "Expected a version, such as 12, found -1"),
    "a long remark": ("sign-off", {"until": "1", "remark": "x" * 10_001}, "at most 10000"),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_bad_form_is_one_sentence(
    name: str, room: Conversation, rita: Client, settings: Any
) -> None:
    settings.TURNLOG = {
        "SCORES": {"tone": ["calm", "rude"], "quality": [1, 5], "ok": "yes/no"},
    }
    page, form, sentence = BAD_FORMS[name]
    response = rita.post(f"/review/{room.pk}/{page}/", form)
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert not Remark.objects.exists()


def test_scores_are_given_and_shown(
    room: Conversation, rita: Client, turn: str, settings: Any
) -> None:
    settings.TURNLOG = {
        "SCORES": {"tone": ["calm", "rude"], "quality": [1, 5], "ok": "yes/no", "tact": [0, 1]},
    }
    form = {"score-tone": "calm", "score-quality": "4.5", "score-ok": "yes", "score-tact": "?"}
    rita.post(f"/review/{room.pk}/scores/", {**form, "turn": turn, "comment": "well done"})
    assert {row.name: row.value for row in Remark.objects.all()} == {
        "tone": '"calm"',
        "quality": "4.5",
        "ok": "true",
        "tact": "null",
    }
    shown = text_of(rita, f"/review/{room.pk}/")
    for value in ("calm", "4.5", "yes", "cannot judge"):
        assert f">{value}</strong>" in shown


def test_what_is_signed_off_is_in_the_list(room: Conversation, rita: Client, user: Any) -> None:
    catch_up()

    def found(query: str) -> bool:
        return f"/review/{room.pk}/" in text_of(rita, f"/review/?q={query}")

    assert found("reviewed:none")
    assert not found("reviewed:me")
    assert not found("has:note")
    assert "Sign off up to version 4" in text_of(rita, f"/review/{room.pk}/")
    rita.post(f"/review/{room.pk}/sign-off/", {"until": "4", "remark": "fine"})
    rita.post(f"/review/{room.pk}/notes/", {"text": "one"})
    rita.post(f"/review/{room.pk}/notes/", {"text": "two"})
    assert found("reviewed:me")
    assert found("has:note")
    assert not found("reviewed:none")
    assert "✓" in text_of(rita, "/review/")
    assert "Sign off" not in text_of(rita, f"/review/{room.pk}/")
    other = client_with("rob", "review_conversation")
    assert f"/review/{room.pk}/" not in text_of(other, "/review/?q=reviewed:me")
    room.record_turn("And now?", AIMessage("Now it works."), user=user)
    catch_up()
    assert "up to version 4" in text_of(rita, "/review/")
    assert "Sign off up to version 6" in text_of(rita, f"/review/{room.pk}/")


# What a reviewer does, and what is on record of it.
LOOKS = {
    "/review/": ("listed", "conversations", ""),
    "/review/?q=broken": ("listed", "conversations", "broken"),
    "/review/{pk}/": ("read", "conversation", ""),
    "/review/{pk}/?at=2": ("read", "conversation", ""),
    "/review/{pk}/?find=broken": ("read", "conversation", "broken"),
    "/review/{pk}/events/2/": ("read", "event 2", ""),
    "/review/{pk}/given/3/": ("read", "given 3", ""),
    "/review/{pk}/compare/?a=1": ("read", "compare", ""),
}


@pytest.mark.parametrize("address", LOOKS)
def test_each_look_is_on_record(
    address: str, room: Conversation, rita: Client, user: Any, settings: Any
) -> None:
    catch_up()
    action, page, query = LOOKS[address]
    text_of(rita, address.format(pk=room.pk))
    row = Access.objects.get()
    assert (row.action, row.page, row.query) == (action, page, query)
    assert (row.conversation_id, row.address) == (room.pk, "127.0.0.1")
    assert row.owners == f"\n{room.owner_actor_id}\n"
    assert Event.objects.get(stream_id=row.stream_id, version=row.version).actor_id == row.actor_id


@pytest.mark.parametrize("address", LOOKS)
def test_ones_own_is_not(address: str, room: Conversation, user: Any) -> None:
    catch_up()
    owner = Client()
    owner.force_login(user)
    text_of(owner, address.format(pk=room.pk))
    assert not Access.objects.exists()


def test_a_search_that_finds_nothing_is_a_search(room: Conversation, rita: Client) -> None:
    catch_up()
    text_of(rita, "/review/?q=mermaid")
    assert Access.objects.get().query == "mermaid"


def test_a_slider_is_one_look(
    room: Conversation,
    rita: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    def look(client: Client = rita, **extra: Any) -> int:
        with django_capture_on_commit_callbacks(execute=True):
            assert client.get(f"/review/{room.pk}/?at=2", **extra).status_code == 200
        return Access.objects.count()

    assert [look(), look(), look()] == [1, 1, 1]
    assert look(REMOTE_ADDR="192.0.2.8") == 2
    assert look(client_with("rob", "review_conversation")) == 3
    monkeypatch.setattr(recording, "REST_SECONDS", 0)
    assert look() == 4


def test_what_was_rolled_back_is_recorded_again(room: Conversation, rita: Client) -> None:
    """This test's transaction is never committed, so no look is remembered as recorded."""
    text_of(rita, f"/review/{room.pk}/")
    text_of(rita, f"/review/{room.pk}/")
    assert Access.objects.count() == 2


def test_what_is_not_recorded_is_not_shown(
    room: Conversation, rita: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the database is read-only")

    monkeypatch.setattr(accesses, "record", away)
    with pytest.raises(RuntimeError):
        rita.get(f"/review/{room.pk}/")


def behind_a_proxy(request: Any) -> Any:
    return request.headers.get("X-Real-Ip")


def test_a_projects_own_address(room: Conversation, rita: Client, settings: Any) -> None:
    settings.TURNLOG = {"CLIENT_ADDRESS": f"{__name__}.behind_a_proxy"}
    assert rita.get(f"/review/{room.pk}/", headers={"x-real-ip": "2001:db8::7"}).status_code == 200
    assert Access.objects.get().address == "2001:db8::7"
    with pytest.raises(ConfigurationError, match="CLIENT_ADDRESS"):
        rita.get(f"/review/{room.pk}/")


def test_memory_of_looks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_MOST", 3)
    looks = recording._Looks()
    for number in range(10):
        looks.keep(number)
    assert [looks.has(number) for number in range(10)] == [False] * 7 + [True] * 3


def test_revealing_needs_permission_and_reason_and_ends(
    room: Conversation, rita: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/review/{room.pk}/reveal/"
    assert rita.post(address, {"reason": "request 17"}).status_code == 403
    assert "Show personal data" not in text_of(rita, f"/review/{room.pk}/")
    lead = client_with("lead", "review_conversation", "reveal_personal_data")
    assert "Show personal data" in text_of(lead, f"/review/{room.pk}/")
    for reason in ("", "  ", "x" * 501):
        assert lead.post(address, {"reason": reason}).status_code == 400
    assert not Access.objects.filter(action="revealed").exists()
    for _ in range(2):  # Each time anew: it is no look that goes on.
        assert lead.post(address, {"reason": "request 17"}).status_code == 303
    rows = Access.objects.filter(action="revealed")
    assert [(row.reason, row.conversation_id) for row in rows] == [("request 17", room.pk)] * 2
    assert "Personal data is shown until" in text_of(lead, f"/review/{room.pk}/")
    other = Conversation.objects.create(user=room.user)
    other.clear()
    assert "Personal data is shown until" not in text_of(lead, f"/review/{other.pk}/")
    lead.post(f"/review/{room.pk}/mask/")
    assert "Personal data is shown until" not in text_of(lead, f"/review/{room.pk}/")
    lead.post(address, {"reason": "request 17"})
    User.objects.get(username="lead").user_permissions.set(
        Permission.objects.filter(codename="review_conversation")
    )
    assert "Personal data is shown until" not in text_of(lead, f"/review/{room.pk}/")


def test_what_was_revealed_is_masked_after_a_while(room: Conversation) -> None:
    lead = client_with("lead", "review_conversation", "reveal_personal_data")
    lead.post(f"/review/{room.pk}/reveal/", {"reason": "request 17"})
    session = lead.session
    ends = session["turnlog_revealed"][str(room.pk)]
    assert ends <= (dt.datetime.now(dt.UTC) + revealing.LASTS).timestamp()
    for value in (ends - revealing.LASTS.total_seconds() - 1, "soon", None, float("inf"), -1):
        session["turnlog_revealed"] = {str(room.pk): value}
        session.save()
        assert "Personal data is shown until" not in text_of(lead, f"/review/{room.pk}/")


def test_one_continues_what_is_ones_own(room: Conversation, rita: Client, user: Any) -> None:
    owner = Client()
    owner.force_login(user)
    assert "Continue from version 4" in text_of(owner, f"/review/{room.pk}/")
    response = owner.post(f"/review/{room.pk}/fork/", {"at": "3"})
    fork = Conversation.objects.get(forked_from=room)
    assert response["Location"] == f"/review/{fork.pk}/"
    assert fork.user == user
    assert "Continue from" not in text_of(rita, f"/review/{room.pk}/")
    assert rita.post(f"/review/{room.pk}/fork/", {"at": "3"}).status_code == 400
    assert owner.post(f"/review/{room.pk}/fork/", {"at": "99"}).status_code == 400


@pytest.fixture
def ines(db: None) -> Client:
    return client_with("ines", "inspect_accesses")


def test_the_months_accesses_are_found_and_signed_off(
    room: Conversation, rita: Client, ines: Client, user: Any
) -> None:
    catch_up()
    other = Conversation.objects.create(user=User.objects.create_user("bert"))
    other.clear()
    text_of(rita, "/review/?q=broken")
    text_of(rita, f"/review/{room.pk}/")
    rob = client_with("rob", "review_conversation")
    text_of(rob, f"/review/{other.pk}/")

    def rows(query: str = "") -> int:
        return text_of(ines, f"/review/accesses/{query}").count("<tr>") - 1

    assert rows() == 3
    assert rows("?who=rita") == 2
    assert rows("?whose=bert") == 1
    assert rows(f"?whose={user.username}") == 2
    assert rows(f"?whose={room.owner_actor_id}") == 2
    assert rows("?who=nobody") == rows("?whose=nobody") == rows("?month=2020-01") == -1
    assert rows(f"?conversation={room.pk}") == 2
    assert rows("?action=listed") == 1
    shown = text_of(ines, "/review/accesses/")
    for words in ("rita", "rob", "“broken”", "127.0.0.1", f'href="/review/{room.pk}/"', "bert"):
        assert words in shown
    until = re.search(r'name="until" value="(\d+)"', shown)
    assert until is not None
    form = {"month": accesses.this_month(), "until": until[1], "remark": "nothing unusual"}
    assert ines.post("/review/accesses/inspect/", form).status_code == 303
    shown = text_of(ines, "/review/accesses/")
    assert "nothing unusual" in shown
    assert f"up to access {until[1]}" in shown
    assert rows() == 3


def test_accesses_come_page_by_page(room: Conversation, rita: Client, ines: Client) -> None:
    for number in range(230):
        accesses.record(
            "read",
            by=User.objects.get(username="rita"),
            page=f"event {number}",
            conversations=[room.pk],
            address="192.0.2.7",
        )
    seen: list[str] = []
    address, pages = "/review/accesses/?who=rita", 0
    while address:
        shown, pages = text_of(ines, address), pages + 1
        seen += re.findall(r">event (\d+)<", shown)
        later = re.search(r'rel="next" href="([^"]+)"', shown)
        address = f"/review/accesses/{later[1].replace('&amp;', '&')}" if later else ""
    assert pages == 3
    assert seen == [str(number) for number in reversed(range(230))]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?month=2026-13", "Expected a month, such as 2026-11, found 2026-13"),
        ("?month=0000-01", "Expected a month"),
        ("?month=<b>", "found &lt;b&gt;"),
        ("?month=٢٠٢٦-٠١", "Expected a month"),
        ("?conversation=x", "Expected a version"),
        ("?before=0", "Expected a version"),
    ],
)
def test_a_wrong_address_of_accesses_is_a_sentence(query: str, sentence: str, ines: Client) -> None:
    response = ines.get(f"/review/accesses/{query}")
    assert response.status_code == 400
    assert sentence in response.content.decode()


def test_accesses_take_the_same_queries_for_many(
    room: Conversation, rita: Client, ines: Client
) -> None:
    counts = []
    for people in (5, 40):
        for number in range(people):
            owner = User.objects.create_user(f"owner {people} {number}")
            other = Conversation.objects.create(user=owner)
            accesses.record(
                "read", by=owner, page="event 1", conversations=[other.pk, room.pk], address=""
            )
        with CaptureQueriesContext(connection) as queries:
            text_of(ines, "/review/accesses/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_remarks_take_the_same_queries_for_many(
    room: Conversation, rita: Client, turn: str
) -> None:
    text_of(rita, f"/review/{room.pk}/")
    counts = []
    for people in (5, 40):
        for number in range(people):
            by = User.objects.create_user(f"reviewer {people} {number}")
            reviews.add_note(room.pk, "x", by=by, turn_id=uuid.UUID(turn))
        with CaptureQueriesContext(connection) as queries:
            text_of(rita, f"/review/{room.pk}/events/2/")
            text_of(rita, f"/review/{room.pk}/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_saved_view_is_everybodys_and_a_default_ones_own(
    room: Conversation, rita: Client, user: Any
) -> None:
    other = Conversation.objects.create(user=user, title="Another")
    other.record_turn("hello", AIMessage("hi"), user=user)
    catch_up()
    rob = client_with("rob", "review_conversation")

    def rows(client: Client, query: str = "") -> int:
        return text_of(client, f"/review/{query}").count("<tr>") - 1

    form = {"name": "  Broken  things ", "q": "broken"}
    response = rita.post("/review/views/save/", form)
    assert response["Location"] == "/review/?view=Broken+things"
    assert rows(rita, "?view=Broken+things") == rows(rob, "?view=Broken+things") == 1
    assert rows(rob) == 2
    rob.post("/review/views/choose/", {"name": "Broken things"})
    assert rows(rob) == 1
    assert rows(rob, "?q=") == rows(rob, "?view=") == rows(rita) == 2
    rita.post("/review/views/save/", {"name": "Broken things", "q": "hello"})
    assert "Another" in text_of(rob, "/review/")
    rob.post("/review/views/choose/", {"name": ""})
    assert rows(rob) == 2
    rob.post("/review/views/choose/", {"name": "Broken things"})
    rita.post("/review/views/remove/", {"name": "Broken things"})
    assert "Broken things" not in text_of(rob, "/review/")
    assert rows(rob) == rows(rob, "?view=Broken+things") == 2
    call_command("check_projections", stdout=io.StringIO())


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": "", "q": "x"}, "a name of 1 to 64 characters, found 0"),
        ({"name": "x" * 65, "q": "x"}, "found 65"),
        ({"name": "x", "q": "colour:red"}, "Expected one of"),
        ({"name": "x", "q": "y" * 1001}, "at most 1000 characters, found 1001"),
    ],
)
def test_a_view_that_means_nothing_is_not_saved(
    form: dict[str, str], sentence: str, rita: Client
) -> None:
    response = rita.post("/review/views/save/", form)
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert not SavedView.objects.exists()


def test_saved_views_are_bounded(rita: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnlog.consumers.review.saving.MOST", 2)
    for number in range(2):
        rita.post("/review/views/save/", {"name": f"view {number}", "q": "x"})
    response = rita.post("/review/views/save/", {"name": "one more", "q": "x"})
    assert b"at most 2 saved views" in response.content


def test_owners_have_no_saved_views(room: Conversation, rita: Client, user: Any) -> None:
    rita.post("/review/views/save/", {"name": "Broken things", "q": "broken"})
    owner = Client()
    owner.force_login(user)
    assert "Broken things" not in text_of(owner, "/review/?view=Broken+things")


def test_health_shows_the_last_verification(room: Conversation, rita: Client) -> None:
    assert "unknown: run verify_log --record" in text_of(rita, "/review/health/")
    list(read_all())  # Positions are given.
    call_command("verify_log", "--record", stdout=io.StringIO())
    shown = text_of(rita, "/review/health/")
    assert "positions 0 to 4; 0 since" in shown
    assert 'data-state="well">positions' in shown
    list(read_all())  # The verification's own events come after it.
    assert "positions 0 to 4; 2 since" in text_of(rita, "/review/health/")
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute("UPDATE turnlog_event SET metadata = '{\"a\": 1}' WHERE version = 2")
    with pytest.raises(SystemExit):
        call_command("verify_log", "--record", stdout=io.StringIO())
    shown = text_of(rita, "/review/health/")
    assert re.search(r'data-state="ill">positions 0 to 6.*review-bad">\d+ problems', shown)


def test_only_what_is_nearly_whole_is_recorded(room: Conversation) -> None:
    for part in (["--conversation", str(room.pk)], ["--sample", "2"]):
        with pytest.raises(CommandError, match="expected --record with the whole log"):
            call_command("verify_log", "--record", *part, stdout=io.StringIO())


def test_charts_are_by_day_and_model(user: Any, rita: Client) -> None:
    for model, answers in (("gpt-5", 3), ("o9", 1)):
        for _ in range(answers):
            room = Conversation.objects.create(user=user)
            prompt = Prompt(model, {}, "", previous={"messages": []})
            begun = room.start_turn("how?", user=user, prompt=prompt)
            usage: Any = {"input_tokens": 300, "output_tokens": 700, "total_tokens": 1000}
            answer = AIMessage("so", usage_metadata=usage)
            room.record_turn("how?", answer, user=user, turn_id=begun.turn_id)
    catch_up()
    shown = text_of(rita, "/review/health/")
    assert "at most 4 a day" in shown
    assert "at most 4,000 a day" in shown
    assert shown.count('class="review-bar"') == 3
    assert "/review/health/?model" not in shown
    assert 'href="?model=o9"' in shown
    shown = text_of(rita, "/review/health/?model=o9")
    assert "at most 1 a day" in shown
    assert "at most 1,000 a day" in shown
    assert 'class="review-bar"' not in text_of(rita, "/review/health/?model=none")


def test_a_turn_is_erased_for_a_reason(room: Conversation, rita: Client, turn: str) -> None:
    assert "Erase this turn" not in text_of(rita, f"/review/{room.pk}/")
    assert rita.post(f"/review/{room.pk}/erase/", {"turn": turn, "reason": "x"}).status_code == 403
    lead = client_with("lead", "review_conversation", "erase_payload")
    assert "Erase this turn" in text_of(lead, f"/review/{room.pk}/")
    for form, sentence in (
        ({"turn": turn}, "expected a reason"),
        ({"reason": "x"}, "Expected the id of a turn, found none"),
        ({"reason": "x", "turn": str(uuid.uuid4())}, "there is no turn"),
    ):
        response = lead.post(f"/review/{room.pk}/erase/", form)
        assert response.status_code == 400
        assert sentence in response.content.decode()
    assert Event.objects.get(stream_id=room.pk, version=2).payload is not None
    lead.post(f"/review/{room.pk}/erase/", {"turn": turn, "reason": "request 17"})
    assert Event.objects.get(stream_id=room.pk, version=2).payload is None
    assert "for request 17" in text_of(rita, f"/review/{room.pk}/")


def test_what_is_held_is_not_erased_here_either(room: Conversation, turn: str) -> None:
    room.hold(reason="case 1")
    lead = client_with("lead", "review_conversation", "erase_payload")
    response = lead.post(f"/review/{room.pk}/erase/", {"turn": turn, "reason": "request 17"})
    assert response.status_code == 400
    assert b"under a legal hold" in response.content


@pytest.mark.django_db(transaction=True)
def test_the_health_page_verifies(room: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    list(read_all())
    lead = client_with("lead", "review_conversation", "verify_log")
    assert "Verify what came after" in text_of(lead, "/review/health/")
    assert lead.post("/review/health/verify/").status_code == 303
    assert "positions 0 to 4; 0 since" in text_of(lead, "/review/health/")
    monkeypatch.setattr("turnlog.consumers.review.health.MOST", 3)
    response = lead.post("/review/health/verify/")
    assert response.status_code == 400
    assert b"Expected at most 3 positions" in response.content


def test_no_address_has_what_was_searched_for(room: Conversation, rita: Client) -> None:
    catch_up()
    for query in ("broken", "user:ada state:failed", '"It is broken"'):
        response = rita.post("/review/search/", {"q": query})
        address = response["Location"]
        assert re.fullmatch(r"/review/\?s=[\w%=-]+", address)
        assert not any(word in address for word in ("broken", "ada"))
        assert f'value="{html.escape(query)}"' in text_of(rita, address)
    address = rita.post("/review/search/", {"q": "sorry"})["Location"]
    assert f"/review/{room.pk}/" in text_of(rita, address)
    response = rita.post("/review/search/", {"q": "state:failed tokens:>5"})
    assert response["Location"] == "/review/?q=state%3Afailed+tokens%3A%3E5"
    response = rita.post(f"/review/{room.pk}/find/", {"find": "broken", "at": "3"})
    assert re.fullmatch(rf"/review/{room.pk}/\?at=3&s=[\w%=-]+", response["Location"])
    assert "review-hits" in text_of(rita, response["Location"])
    colleague = client_with("rob", "review_conversation")
    assert "review-hits" in text_of(colleague, response["Location"])


@pytest.mark.parametrize("seal", ["", "x", "gAAAA", "x" * 9000, "\ud800", "한국어"])
def test_a_broken_seal_is_a_sentence(seal: str, room: Conversation, rita: Client) -> None:
    for page in ("/review/", f"/review/{room.pk}/"):
        response = rita.get(page, {"s": seal.encode("utf-8", "replace")})
        assert response.status_code == 400
        assert b"Expected the whole address of a search" in response.content


def test_a_search_outlives_a_new_secret(rita: Client, room: Conversation, settings: Any) -> None:
    catch_up()
    reviewer = User.objects.get(username="rita")
    words = sealed("broken", reviewer)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert unsealed(words, reviewer) == "broken"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(BadSeal):
        unsealed(words, reviewer)


def test_pages_of_a_search_lead_on_sealed(
    user: Any, rita: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(60):
        other = Conversation.objects.create(user=user)
        other.record_turn("a broken cup", AIMessage("oh"), user=user)
    catch_up()
    shown = text_of(rita, rita.post("/review/search/", {"q": "broken"})["Location"])
    later = re.search(r'rel="next" href="([^"]+)"', shown)
    assert later is not None
    assert later[1].startswith("?s=")
    assert "broken" not in later[1]
    assert text_of(rita, f"/review/{html.unescape(later[1])}").count("<tr>") == 11


def everybodys(user: Any, conversation: Any) -> bool:
    return True


def test_a_projects_own_rule_opens_no_saved_views(
    room: Conversation, rita: Client, user: Any, settings: Any
) -> None:
    """What is saved is shared: whoever the rule lets see a conversation is not among these."""
    catch_up()
    rita.post("/review/views/save/", {"name": "Broken things", "q": "broken"})
    settings.TURNLOG = {"CAN_REVIEW": f"{__name__}.everybodys"}
    other = client_with("other")
    assert f"/review/{room.pk}/" in text_of(other, "/review/")
    assert "Broken things" not in text_of(other, "/review/")
    for act in ("save", "remove", "choose"):
        form = {"name": "Broken things", "q": "x"}
        assert other.post(f"/review/views/{act}/", form).status_code == 404
    assert SavedView.objects.get().query == "broken"


def test_a_call_that_waits_is_decided_by_those_who_may(rita: Client, user: Any) -> None:
    room = Conversation.objects.create(user=user)
    turn = room.start_turn("Refund it.", user=user).turn_id
    given = {"phone": "010-1234-5678"}
    room.request_approval(
        turn,
        [
            {"number": number, "tool": "refund", "tool_call_id": "c", "input": given}
            for number in range(2)
        ],
    )
    Worker(named(["overview"])).catch_up()
    address, act = f"/review/{room.pk}/", f"/review/{room.pk}/decide/"
    form = {"turn": str(turn), "call": "0", "approved": "no", "reason": "It was used."}
    assert act not in rita.get(address).content.decode()
    assert rita.post(act, form).status_code == 403
    client = client_with("boss", "review_conversation", "approve_tools")
    listed = client.get("/review/?q=state:waiting").content.decode()
    assert 'data-state="waiting"' in listed
    assert address in listed
    page = client.get(address).content.decode()
    assert page.count(f'action="{act}"') == 2
    assert "5678" not in page
    assert client.post(act, {**form, "approved": ""}).status_code == 400
    assert client.post(act, form).status_code == 303
    refused = client.post(act, form)
    assert refused.status_code == 400
    assert "Somebody has decided about this call already." in refused.content.decode()
    page = client.get(address).content.decode()
    assert page.count(f'action="{act}"') == 1
    waiting = room.waiting()
    assert waiting is not None
    assert [call.approved for call in waiting.calls] == [False, None]
    # The decision is an event of the reviewer's, beside the turn.
    assert "ToolApprovalDecided" in page
    assert room.start_turn("Never mind.", user=user).created
    Worker(named(["overview"])).catch_up()
    assert address not in client.get("/review/?q=state:waiting").content.decode()
