"""What a reviewer sees of personal data: nothing, on any page, until it is revealed to them."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from PIL import Image

from tests.consumers.pictures import with_picture
from tests.consumers.test_review import ACTS
from turnlog.consumers.review import urls
from turnlog.consumers.review.remarks import MASKED_APART
from turnlog.consumers.review.shown import LONGEST, message_of
from turnlog.core.masking.masker import Masker
from turnlog.events import reviews
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt
from turnlog.events.rounds import FailedCall
from turnlog.langchain import TurnlogChatMessageHistory
from turnlog.openai_agents import TurnlogSession
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.queues import acts as queues

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.project.review_urls"),
    pytest.mark.slow_once,
]

MAIL, PHONE, RRN = "grace@example.org", "010-2345-6789", "850315-2345678"
CARD, ADDRESS, KEY = "5555 5555 5555 4444", "203.0.113.77", "sk-proj-abcdefghijklmnop0123"
PLANTED = (MAIL, PHONE, RRN, CARD, ADDRESS, KEY)
SAID = " and ".join(PLANTED)

# Each page, and whether it has the planted values if they may be seen.
PAGES = {
    "conversations": ("", True),
    "health": ("health/", False),
    "accesses": ("accesses/", False),
    "queues": ("queues/", False),
    "queue": ("queues/1/", False),
    "conversation": ("{pk}/", True),
    "event": ("{pk}/events/2/", True),
    "picture": ("{pk}/events/5/pictures/0/", False),
    "file": ("{pk}/events/10/files/1/", False),
    "given": ("{pk}/given/3/", True),
    "compare": ("{pk}/compare/?a=2", True),
}
MORE = ["{pk}/?queue=1", "{pk}/?at=2", "{pk}/?find=call", "{pk}/compare/?a=x", "?q=call"]


@pytest.fixture
def room(user: Any) -> Conversation:
    room = Conversation.objects.create(user=user, title=f"About {SAID}")
    previous = {"messages": [{"_type": "str", "_value": [f"before: {SAID}"]}]}
    prompt = Prompt("gpt-5", {"stop": [SAID]}, f"Be kind to {SAID}", previous=previous)
    turn = room.start_turn(f"call {SAID}", user=user, prompt=prompt)
    outputs = [
        {"tool": "ask", "input": {SAID: [SAID]}, "output": f"[{SAID}]" + f" {SAID}" * 900},
        {"tool": "draw", "output": Image.new("RGB", (2, 2), "red")},
        {"tool": "fail", "output": "", "status": "error", "text": f"no such file: /home/{MAIL}"},
        {"tool": "list", "output": pd.DataFrame({SAID: [SAID], "n": [5555555555554444]})},
        {"tool": "large", "output": {"rows": [{SAID: [SAID] * 9_000}]}},
    ]
    parts: Any = [{"type": "text", "text": "it is 010-23"}, {"type": "text", "text": "45-6789"}]
    answer = AIMessage([*parts, {"type": "text", "text": f", then **{SAID}**"}])
    record = {"reason": SAID, "tools_at": [2, 8, 12, 20, 30]}
    room.record_turn(
        f"call {SAID}", answer, outputs, user=user, turn_id=turn.turn_id, metadata=record
    )
    failed = room.start_turn(with_picture(f"again {SAID}", f"{MAIL}.png"), user=user)
    thought = AIMessage(
        [{"type": "thinking", "thinking": f"about {SAID}", "signature": "c2ln"}],
        tool_calls=[{"name": "ask", "args": {SAID: SAID}, "id": "c", "type": "tool_call"}],
        response_metadata={"stop_reason": "tool_use", "model": f"of {MAIL}"},
    )
    refused = {"type": "HttpError", "text": f"refused: {SAID}"}
    tries = [FailedCall(f"of {MAIL}", refused), thought]
    room.fail_turn(failed.turn_id, error=refused, rounds=tries)
    erased = room.record_turn("to erase", AIMessage("ok"), user=user)
    room.erase([erased[0].turn_id], reason=f"request of {MAIL}")
    room.hold(reason=f"for {SAID}")
    reviews.add_note(room.pk, f"a note on {SAID}", by=user, quote=SAID, turn_id=turn.turn_id)
    reviews.add_note(room.pk, f"a note on {SAID}", by=user)
    reviews.sign_off(room.pk, by=user, until=3, remark=SAID)
    Worker(named(["overview", "search", "usage"])).catch_up()
    queues.open_queue("Calls", by=user)
    queues.fill(1, f'user:"{MAIL}"', by=user)
    queues.fill(1, "", by=user)
    queues.flag(1, room.pk, f"flagged for {SAID}", by=user)
    return room


def client_of(django_user_model: Any, name: str, *permissions: str) -> Client:
    user = django_user_model.objects.create_user(name)
    for codename in permissions:
        user.user_permissions.add(Permission.objects.get(codename=codename))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def reviewer(django_user_model: Any) -> Client:
    return client_of(django_user_model, "reviewer", "review_conversation", "inspect_accesses")


@pytest.fixture
def revealer(room: Conversation, django_user_model: Any) -> Client:
    """A reviewer who has said why the room's personal data has to be shown."""
    permissions = ("review_conversation", "reveal_personal_data")
    client = client_of(django_user_model, "revealer", *permissions)
    reason = {"reason": "a complaint"}
    assert client.post(f"/review/{room.pk}/reveal/", reason).status_code == 303
    return client


@pytest.fixture
def owner(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def values_in(content: bytes) -> set[str]:
    """The planted values that a page has, also with other separators, or within JSON."""
    text = content.decode("utf-8", "replace")
    digits = re.sub(r"[\s.()/-]", "", text)
    found = {value for value in PLANTED if value in text}
    return found | {value for value in (PHONE, RRN, CARD) if re.sub(r"\D", "", value) in digits}


def test_every_page_is_in_the_table() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} - set(ACTS) == set(PAGES)


@pytest.mark.parametrize("path", [*(path for path, _ in PAGES.values()), *MORE])
def test_a_reviewer_sees_no_personal_data(path: str, room: Conversation, reviewer: Client) -> None:
    response = reviewer.get(f"/review/{path}".format(pk=room.pk))
    assert values_in(response.content) == set()
    assert response.status_code in (200, 400) or "picture" in path or "files" in path


@pytest.mark.parametrize("name", [name for name, (_, has_values) in PAGES.items() if has_values])
def test_whoever_it_was_revealed_to_and_the_owner_see_it(
    name: str, room: Conversation, revealer: Client, owner: Client
) -> None:
    for client in (revealer, owner):
        response = client.get(f"/review/{PAGES[name][0]}".format(pk=room.pk))
        # A list has many conversations, and nobody reveals them all.
        seen = client is owner or name != "conversations"
        assert values_in(response.content) == (set(PLANTED) if seen else set())
    picture = PAGES["picture"][0].format(pk=room.pk)
    assert owner.get(f"/review/{picture}")["Content-Type"] == "image/png"
    assert revealer.get(f"/review/{picture}")["Content-Type"] == "image/png"
    # And no longer, once it is masked again.
    revealer.post(f"/review/{room.pk}/mask/")
    assert values_in(revealer.get(f"/review/{room.pk}/").content) == set()


def test_every_event_is_masked_whatever_it_is(
    room: Conversation, reviewer: Client, revealer: Client
) -> None:
    paths = [
        f"/review/{room.pk}/events/{event.version}/{whole}"
        for event in Event.objects.filter(stream_id=room.pk)
        for whole in ("", "?whole")
    ]
    assert len(paths) > 20
    for path in paths:
        assert values_in(reviewer.get(path).content) == set(), path
    shown = [path for path in paths if values_in(revealer.get(path).content)]
    assert len(shown) > 14


@pytest.mark.django_db(transaction=True)
def test_what_another_framework_keeps_beside_the_text_is_masked(
    user: Any, reviewer: Client, owner: Client
) -> None:
    room = Conversation.objects.create(user=user)
    said = HumanMessage(f"call {SAID}", additional_kwargs={"note": SAID}, name=MAIL)
    called = [{"name": "ask", "args": {SAID: SAID}, "id": "c", "type": "tool_call"}]
    messages = [
        *(said, AIMessage("", tool_calls=called), ToolMessage(SAID, tool_call_id="c")),
        AIMessage(f"then {SAID}", additional_kwargs={"other": [SAID]}),
    ]
    TurnlogChatMessageHistory(room, user).add_messages(messages)
    session = TurnlogSession(room, user)
    answer = {"type": "output_text", "text": SAID, "annotations": [{"url": SAID}]}
    async_to_sync(session.add_items)(
        [
            {"role": "user", "content": [{"type": "input_text", "text": SAID}]},
            {"type": "message", "role": "assistant", "id": "m", "content": [answer]},
        ]
    )
    events = Event.objects.filter(stream_id=room.pk).order_by("version")
    paths = [
        f"/review/{room.pk}/{path}{whole}"
        for path in ("", *(f"events/{event.version}/" for event in events))
        for whole in ("", "?whole")
    ]
    for path in paths:
        assert values_in(reviewer.get(path).content) == set(), path
    assert sum(values_in(owner.get(path).content) == set(PLANTED) for path in paths) > 10


def test_a_manager_of_queues_sees_no_personal_data_in_them(
    room: Conversation, django_user_model: Any
) -> None:
    manager = client_of(django_user_model, "manager", "review_conversation", "manage_queues")
    response = manager.get("/review/queues/1/")
    assert b"How it was filled" in response.content
    assert b"flagged for [e-mail" in response.content
    assert values_in(response.content) == set()


def test_a_value_has_the_same_placeholder_on_every_page(
    room: Conversation, reviewer: Client
) -> None:
    label = Masker(room.pk).text(PHONE)
    noted = Masker(room.pk, MASKED_APART).text(PHONE)
    for path in ("", "{pk}/", "{pk}/events/2/", "{pk}/given/3/", "{pk}/?find=call"):
        shown = reviewer.get(f"/review/{path}".format(pk=room.pk)).content.decode()
        assert label in shown
        assert set(re.findall(r"\[phone \w+\]", shown)) - {noted} == {label}
    other = Conversation.objects.create()
    other.record_turn(PHONE, AIMessage("ok"))
    assert label not in reviewer.get(f"/review/{other.pk}/").content.decode()


def test_tools_stay_where_they_were_called_in_a_masked_answer(
    user: Any, reviewer: Client, owner: Client
) -> None:
    room = Conversation.objects.create(user=user)
    answer = f"I ask {PHONE} first.\n\nThen I look.\n\nDone."
    place = answer.index("Then")
    tools = [{"tool": "look", "output": "seen"}]
    room.record_turn("go", AIMessage(answer), tools, user=user, metadata={"tools_at": [place]})
    for client in (reviewer, owner):
        shown = client.get(f"/review/{room.pk}/").content.decode()
        assert shown.index("first.") < shown.index(">look<") < shown.index("Then I look.")


def test_what_people_sent_is_withheld_with_a_sentence(
    room: Conversation, reviewer: Client, owner: Client
) -> None:
    shown = reviewer.get(f"/review/{room.pk}/").content.decode()
    assert "withheld while personal data is masked" in shown
    address = f"/review/{PAGES['file'][0].format(pk=room.pk)}"
    assert reviewer.get(address).status_code == 404
    served = owner.get(address)
    assert (served.status_code, served["Content-Type"]) == (200, "image/png")
    assert served["Cache-Control"] == "private, no-cache, no-store"
    assert address in owner.get(f"/review/{room.pk}/").content.decode()
    event = reviewer.get(f"/review/{room.pk}/events/10/").content.decode()
    assert "base64" in event
    assert "iVBOR" not in event  # However small the picture is.


def test_pictures_are_withheld_with_a_sentence(room: Conversation, reviewer: Client) -> None:
    shown = reviewer.get(f"/review/{room.pk}/").content.decode()
    assert "A picture, withheld while personal data is masked." in shown
    assert "<img" not in shown
    picture = Event.objects.get(stream_id=room.pk, payload__contains="PIL.Image")
    address = f"/review/{room.pk}/events/{picture.version}/"
    assert reviewer.get(f"{address}pictures/0/").status_code == 404
    assert b"iVBORw0" not in reviewer.get(f"{address}?whole").content


def test_a_payload_that_is_too_large_to_be_masked_is_withheld(
    room: Conversation, reviewer: Client
) -> None:
    outputs = [{"tool": "list", "output": [PHONE] * 90_000}]
    room.record_turn("long", AIMessage(f"{PHONE} " * 90_000), outputs, user=room.user)
    answer, listed = Event.objects.filter(stream_id=room.pk).order_by("-version")[:2]
    for whole in ("", "?whole"):
        shown = reviewer.get(f"/review/{room.pk}/events/{listed.version}/{whole}").content
        assert b"This payload is withheld" in shown
        assert values_in(shown) == set()
        # What is a blob is not in the payload.
        shown = reviewer.get(f"/review/{room.pk}/events/{answer.version}/{whole}").content
        assert values_in(shown) == set()
    shown = reviewer.get(f"/review/{room.pk}/").content
    assert values_in(shown) == set()


def test_a_value_at_the_end_of_what_is_shown_is_not_cut_open(user: Any, reviewer: Client) -> None:
    room = Conversation.objects.create(user=user)
    for length in range(LONGEST - 40, LONGEST + 1, 3):
        outputs = [{"tool": "t", "output": "x" * length + f" {PHONE} "}]
        room.record_turn("q", AIMessage("ok"), outputs, user=user)
    shown = reviewer.get(f"/review/{room.pk}/").content.decode()
    assert not re.search(r"x 010-", shown)


def test_a_reviewers_own_words_are_not_masked_for_them(
    django_user_model: Any, reviewer: Client
) -> None:
    me = django_user_model.objects.get(username="reviewer")
    room = Conversation.objects.create(user=me, title=f"My {PHONE}")
    room.record_turn(f"I am {MAIL}", AIMessage("ok"), user=me)
    room.record_turn(f"And I {KEY}", AIMessage("ok"))
    shown = reviewer.get(f"/review/{room.pk}/").content
    assert MAIL.encode() in shown
    assert KEY.encode() not in shown


def test_nothing_is_masked_where_the_settings_say_so(
    room: Conversation, reviewer: Client, settings: Any
) -> None:
    settings.TURNLOG = {"MASKED_KINDS": []}
    assert values_in(reviewer.get(f"/review/{room.pk}/").content) == set(PLANTED)
    picture = PAGES["picture"][0].format(pk=room.pk)
    assert reviewer.get(f"/review/{picture}")["Content-Type"] == "image/png"
    assert listed(reviewer, MAIL) == 1
    assert values_in(reviewer.get("/review/").content) == set(PLANTED)


# Search

ORACLES = [
    *(PHONE, "2345", "2345-6789", MAIL, "grace", "example.org", "grace@"),
    *(RRN, "850315", "2345678", CARD, "5555", ADDRESS, "203.0.113", KEY, "abcdefghijklmnop"),
]


def listed(client: Client, query: str) -> int:
    response = client.get("/review/", {"q": query})
    assert response.status_code == 200
    return response.content.decode().count("<tr>") - 1


@pytest.fixture
def secret(user: Any) -> Conversation:
    """A conversation whose personal data is said once, among other words."""
    room = Conversation.objects.create(user=user)
    room.record_turn(f"call me: {SAID} please", AIMessage("certainly"), user=user)
    Worker(named(["overview", "search", "usage"])).catch_up()
    return room


@pytest.mark.parametrize("words", ORACLES)
def test_a_search_does_not_tell_what_is_masked(
    words: str, secret: Conversation, reviewer: Client, owner: Client, django_user_model: Any
) -> None:
    for query in (f'"{words}"', f'"{words}" please', f'"{words}" id:{secret.pk}'):
        assert listed(reviewer, query) <= 0, query
        assert listed(owner, query) == 1, query
    # What is not there would tell it as well.
    assert listed(reviewer, f'-"{words}"') == 1
    assert listed(owner, f'-"{words}"') <= 0
    inside = f"/review/{secret.pk}/"
    found = reviewer.get(inside, {"find": words}).content.decode()
    assert "Nobody said that here." in found
    allowed = client_of(django_user_model, "allowed", "review_conversation", "reveal_personal_data")
    assert listed(allowed, f'"{words}"') == 1
    found = allowed.get(inside, {"find": words}).content.decode()
    assert "Nobody said that here." not in found
    # Found, and still masked: to look at it is another act. The box has what they typed.
    assert not values_in(re.sub(r'<input id="review-find"[^>]*>', "", found).encode())


def test_a_search_finds_what_is_not_masked(secret: Conversation, reviewer: Client) -> None:
    for query in ("please", "CALL", "certainly", f"please id:{secret.pk}", '"call me"'):
        assert listed(reviewer, query) == 1, query
    assert listed(reviewer, "-please") <= 0
    assert listed(reviewer, "-absent") == 1
    found = reviewer.get(f"/review/{secret.pk}/", {"find": "please"}).content.decode()
    assert "Nobody said that here." not in found


def test_what_is_cut_at_the_end_of_what_is_looked_at_is_not_found(
    user: Any, reviewer: Client
) -> None:
    room = Conversation.objects.create(user=user)
    for length in range(19_985, 20_001, 3):
        room.record_turn(f"{'latte ' * 3_400}"[:length] + f" {PHONE}", AIMessage("ok"), user=user)
    Worker(named(["overview", "search", "usage"])).catch_up()
    for words in ("010-2", "2345", PHONE):
        assert listed(reviewer, words) <= 0
        page = reviewer.get(f"/review/{room.pk}/", {"find": words}).content.decode()
        assert "Nobody said that here." in page
    assert listed(reviewer, "latte") == 1


def test_a_list_shows_no_way_on_where_nothing_can_be_read(user: Any, reviewer: Client) -> None:
    for _ in range(60):
        room = Conversation.objects.create(user=user)
        room.record_turn(f"it is {PHONE}", AIMessage("ok"), user=user)
    Worker(named(["overview", "search", "usage"])).catch_up()
    page = reviewer.get("/review/", {"q": "2345"}).content.decode()
    assert "No conversation is like that." in page
    assert "Older conversations" not in page
    assert "Older conversations" in reviewer.get("/review/", {"q": "it"}).content.decode()


def test_the_queries_of_a_search_do_not_grow_with_what_it_finds(
    user: Any, reviewer: Client
) -> None:
    reviewer.get("/review/", {"q": "warm"})  # This month's accesses have a stream from here on.
    counts = []
    for said in (3, 30):
        room = Conversation.objects.create(user=user)
        for _ in range(said):
            room.record_turn("latte", AIMessage(f"latte for {PHONE}"), user=user)
        Worker(named(["overview", "search", "usage"])).catch_up()
        with CaptureQueriesContext(connection) as queries:
            assert listed(reviewer, "latte -mocha") > 0
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_message_that_cannot_be_stored_is_not_shown() -> None:
    class Strange:
        type = "human"
        text = PHONE

    assert PHONE not in json.dumps(message_of(Strange(), Masker(1)).text)
    assert message_of(Strange, None) is Strange


def test_what_reviewers_wrote_is_masked_for_others(
    room: Conversation, reviewer: Client, revealer: Client
) -> None:
    assert reviewer.post(f"/review/{room.pk}/notes/", {"text": f"mine: {KEY}"}).status_code == 303
    shown = reviewer.get(f"/review/{room.pk}/").content.decode()
    assert "a note on [e-mail" in shown
    assert values_in(shown.encode()) == {KEY}  # They wrote it themselves.
    assert "a note on grace@" in revealer.get(f"/review/{room.pk}/").content.decode()


def test_a_search_is_on_record_without_personal_data(room: Conversation, reviewer: Client) -> None:
    reviewer.get("/review/", {"q": f'"{MAIL}" please'})
    reviewer.get(f"/review/{room.pk}/", {"find": PHONE})
    shown = reviewer.get("/review/accesses/").content
    assert b"please" in shown
    # Whoever searched for it does not learn its placeholder in the conversation.
    assert Masker(0).text(PHONE).encode() in shown
    assert Masker(room.pk).text(PHONE).encode() not in shown
    assert values_in(shown) == set()
    looks = Event.objects.filter(type="AccessRecorded").values_list("payload", flat=True)
    assert len(looks) > 1
    assert values_in("".join(map(str, looks)).encode()) == set()


def test_a_search_for_personal_data_is_no_view(reviewer: Client) -> None:
    for form in ({"name": "Hers", "q": f'"{MAIL}"'}, {"name": PHONE, "q": "state:failed"}):
        response = reviewer.post("/review/views/save/", form)
        assert response.status_code == 400
        assert b"without personal data" in response.content
    # A user name says who said it.
    form = {"name": "Hers", "q": f"user:{MAIL}"}
    assert reviewer.post("/review/views/save/", form).status_code == 303
