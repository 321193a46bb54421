"""The log over Server-Sent Events: who may follow what, what they get, and where it ends."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer
from django.contrib.auth.models import Permission
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.decorators import async_only_middleware
from django_eventstream import get_current_event_id, send_event
from hypothesis import given
from hypothesis import strategies as st

from tests.consumers.stream_client import Source, address, beginning, cookie_of, following
from turnlog.consumers import live
from turnlog.consumers.review import recording
from turnlog.consumers.socket import limits
from turnlog.consumers.stream import following as streams
from turnlog.consumers.stream import reading, rounds, waking
from turnlog.consumers.stream.channels import Channel, channel_of
from turnlog.consumers.stream.cursor import BEGINNING, Cursor, cursor_of
from turnlog.consumers.stream.shown import LONGEST
from turnlog.consumers.stream.storage import LogStorage, NotWritten
from turnlog.core import retrying
from turnlog.core.asynchronous import in_database_thread
from turnlog.events.models import Conversation, Event
from turnlog.events.store.append_only import triggers_suspended
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.project.review_urls"),
]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in (
        (rounds, "SECONDS", 0.05),
        (rounds, "LIST_SECONDS", 0.05),
        (streams, "PAUSE", 0.0),
        (streams, "KEEP_ALIVE", 0.2),
    ):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def conversation(conversation: Conversation, user: Any) -> Conversation:
    """One that was opened: with a turn of its owner's."""
    conversation.record_turn("Good morning.", "Good morning!", user=user)
    return conversation


@pytest.fixture
def people(user: Any, django_user_model: Any) -> dict[str, Any]:
    reviewer = django_user_model.objects.create_user("reviewer")
    reviewer.user_permissions.add(Permission.objects.get(codename="review_conversation"))
    return {
        "nobody": None,
        "owner": user,
        "other": django_user_model.objects.create_user("other"),
        "reviewer": reviewer,
    }


@in_database_thread
def say(room: Conversation, words: str, user: Any = None) -> Any:
    """A turn of three events: the start, what was said, and the answer."""
    turn = room.start_turn(words, user=user)
    room.record_turn(words, "Yes.", user=user, turn_id=turn.turn_id)
    return turn.turn_id


def words_of(source: Source) -> list[str]:
    found = (message.json for message in source.of("log"))
    return [words_in(each) for each in found if each["type"] == "TurnStarted"]


def words_in(started: Any) -> str:
    words: str = started["payload"]["message"]["_value"]["content"]
    return words


def versions_of(source: Source) -> list[int]:
    return [message.json["version"] for message in source.of("log")]


@sync_to_async
def head_of(room: Conversation) -> int:
    return Event.objects.filter(stream_id=room.pk).count()


def nothing_is_left() -> bool:
    return not (waking.streams or waking._wakers or limits._shares or live._listeners)


@pytest.mark.parametrize(
    ("who", "channel", "status"),
    [
        ("nobody", "room", 403),
        ("nobody", "list", 403),
        ("other", "room", 404),
        ("other", "list", 200),
        ("other", "none", 404),
        ("owner", "room", 200),
        ("owner", "none", 404),
        ("reviewer", "room", 200),
        ("reviewer", "none", 404),
        ("reviewer", "foreign", 404),
    ],
)
async def test_who_may_follow_what(
    conversation: Any, people: dict[str, Any], who: str, channel: str, status: int
) -> None:
    room, none = conversation.pk, conversation.pk + 1
    names = {"room": f"turnlog-{room}", "list": "turnlog-list", "none": f"turnlog-{none}"}
    query = address(names.get(channel, channel))
    async with following(await cookie_of(people[who]), query) as source:
        await source.until(lambda source: source.body)
        assert source.status == status
        if status != 200:
            assert source.body.decode().count(".") == 1
            assert source.headers["content-type"].startswith("text/plain")
    assert nothing_is_left()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "Expected 1 to 10 channels, as in ?channel=turnlog-7, found 0."),
        (address(*(f"turnlog-{n}" for n in range(11))), "Expected 1 to 10 channels"),
        ("channel=turnlog-%00", "Expected a channel such as turnlog-7 or turnlog-list, found"),
        ("channel=turnlog-7.a/b", "found turnlog-7.a/b."),
        ("channel=turnlog-list&form=all", "Expected form=events|versions, found all."),
        ("channel=turnlog-list&lastEventId=turnlog-list", "Expected the id of an event"),
        ("channel=turnlog-list&lastEventId=turnlog-list:-1", "Expected the id of an event"),
        (f"channel=turnlog-list&lastEventId=a:{'1' * 40}", "Expected the id of an event"),
        ("channel=turnlog-list&lastEventId=turnlog-x:1", "Expected a channel such as"),
        ("channel=turnlog-list&lastEventId=error", "This stream has ended: open the page again."),
    ],
)
async def test_a_bad_address_is_answered_with_a_sentence(
    user: Any, query: str, sentence: str
) -> None:
    async with following(await cookie_of(user), query) as source:
        await source.end()
    assert source.status == 400
    assert sentence in source.body.decode()


async def test_pages_of_another_site_get_nothing(user: Any) -> None:
    query = address("turnlog-list")
    async with following(await cookie_of(user), query, origin="https://evil.example") as source:
        await source.end()
    assert source.status == 403


def test_a_server_that_cannot_stream_says_so_and_its_pages_work(
    client: Client, user: Any, conversation: Any
) -> None:
    client.force_login(user)
    assert client.get("/live/?channel=turnlog-list").status_code == 501
    page = client.get("/review/")
    assert page.status_code == 200
    assert b"review-live" not in page.content


async def test_it_starts_at_now_and_says_where_that_is(conversation: Any, user: Any) -> None:
    async with following(await cookie_of(user), address(conversation)) as source:
        opened = await source.kind("stream-open")
        assert source.headers["turnlog-last-event-id"] == opened.id
        assert {"private", "no-store", "no-transform"} <= set(
            source.headers["cache-control"].split(", ")
        )
        assert source.headers["x-accel-buffering"] == "no"
        assert 1_000 <= source.parser.retry <= 8_000
        await say(conversation, "after", user)
        await source.kind("log", 3)
        assert words_of(source) == ["after"]
    async with following(await cookie_of(user), address(conversation), opened.id) as source:
        await source.kind("log", 3)
        assert words_of(source) == ["after"]
    assert nothing_is_left()


async def test_an_owner_gets_their_own_part_and_learns_of_no_other(
    conversation: Any, people: dict[str, Any]
) -> None:
    async with following(await cookie_of(people["owner"]), address(conversation)) as source:
        opened = await source.kind("stream-open")
        await say(conversation, "theirs", people["other"])
        moved = await source.until(lambda source: source.parser.last_id != opened.id)
        assert moved
        assert {message.kind for message in source.messages} <= {"stream-open", "keep-alive"}
        await say(conversation, "mine", people["owner"])
        await source.kind("log", 3)
        assert words_of(source) == ["mine"]
        last = source.parser.last_id
    # The cursor is of the event, not of what they saw of it: one who sees more goes on from it.
    await sync_to_async(people["owner"].user_permissions.add)(
        await Permission.objects.aget(codename="review_conversation")
    )
    async with following(await cookie_of(people["owner"]), address(conversation), last) as source:
        await source.kind("stream-open")
        await say(conversation, "theirs again", people["other"])
        await source.kind("log", 3)
        assert words_of(source) == ["theirs again"]


async def test_a_burst_is_exact(conversation: Any, user: Any) -> None:
    cookie = await cookie_of(user)
    async with following(cookie, address(conversation), beginning(conversation)) as source:
        for number in range(40):
            await say(conversation, str(number), user)
        head = await head_of(conversation)
        await source.until(lambda source: head in versions_of(source))
        assert words_of(source) == [str(number) for number in range(40)]
        assert len(set(versions_of(source))) == len(versions_of(source))


async def test_pages_are_told_a_version_and_no_words(conversation: Any, user: Any) -> None:
    query = address(conversation, form="versions")
    async with following(await cookie_of(user), query) as source:
        await source.kind("stream-open")
        await say(conversation, "a secret", user)
        head = await head_of(conversation)
        await source.until(
            lambda source: any(each.json["version"] == head for each in source.of("version"))
        )
        assert b"secret" not in source.body


async def test_a_long_payload_is_left_out_with_its_address(conversation: Any, user: Any) -> None:
    last = await id_of_now(user, conversation)
    await say(conversation, "x" * (LONGEST + 1), user)
    async with following(await cookie_of(user), address(conversation), last) as source:
        first = await source.kind("log")
    found = first.json
    assert found["type"] == "TurnStarted"
    assert (found["payload"], found["missing"]) == (None, "too_long")
    assert found["length"] > LONGEST
    assert found["address"] == f"/review/{conversation.pk}/events/{found['version']}/"


async def test_half_characters_and_lines_stay_within_their_message(
    conversation: Any, user: Any
) -> None:
    words = "half \ud83d\r\nid: 1\n\nevent: stream-error\r\x00"
    last = await id_of_now(user, conversation)
    await say(conversation, words, user)
    async with following(await cookie_of(user), address(conversation), last) as source:
        first = await source.kind("log")
    assert words_in(first.json) == words.replace("\ud83d", "\ufffd")


async def test_no_middleware_holds_a_message_back(
    conversation: Any, user: Any, settings: Any
) -> None:
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", *settings.MIDDLEWARE]
    headers = {"accept-encoding": "gzip"}
    async with following(await cookie_of(user), address(conversation), **headers) as source:
        await source.kind("stream-open")
        await say(conversation, "hello", user)
        await source.kind("log", 3)


async def test_a_stream_waits_for_a_database_that_is_away(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking, tries = streams.lacking, []

    def away(*args: Any) -> Any:
        tries.append(args)
        if len(tries) < 3:
            raise OperationalError("the server closed the connection unexpectedly")
        return lacking(*args)

    monkeypatch.setattr(retrying, "FOLLOWING", retrying.Backoff(first=0.01, longest=0.01))
    async with following(await cookie_of(user), address(conversation)) as source:
        await source.kind("stream-open")
        monkeypatch.setattr(streams, "lacking", away)
        await say(conversation, "hello", user)
        await source.kind("log", 3)
        assert len(tries) >= 3


def only_coffee(user: Any, room: Any) -> bool:
    return bool(room.title.startswith("Ordering coffee"))


async def test_the_projects_own_rule_decides(
    conversation: Any, people: dict[str, Any], settings: Any
) -> None:
    settings.TURNLOG = {"CAN_REVIEW": f"{__name__}.only_coffee"}
    async with following(await cookie_of(people["other"]), address(conversation)) as source:
        await source.kind("stream-open")
        await say(conversation, "hello", people["owner"])
        await source.kind("log", 3)
        conversation.title = "A secret"
        await sync_to_async(conversation.save)()
        await source.kind("stream-error")


async def test_a_tenants_channels_are_its_own(
    conversation: Any, people: dict[str, Any], settings: Any
) -> None:
    settings.TURNLOG = {"TENANT": f"{__name__}.tenant"}
    settings.ALLOWED_HOSTS = [".localhost"]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.of_tenant"]
    cookie = await cookie_of(people["reviewer"])
    async with following(cookie, address(conversation), host="acme.localhost") as source:
        opened = await source.kind("stream-open")
        assert opened.id.startswith(f"turnlog-{conversation.pk}.acme:")
        await in_database_thread(_say_as)("acme", conversation)
        await source.kind("log", 3)
    full = f"turnlog-{conversation.pk}.acme"
    async with following(cookie, address(full), host="acme.localhost") as source:
        await source.kind("stream-open")
    async with following(cookie, address(full), host="other.localhost") as source:
        await source.end()
    assert source.status == 404


_tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="")


def tenant() -> str:
    return _tenant.get()


def of_tenant(get_response: Any) -> Any:
    """The tenant is known while a view runs, and not while its answer is sent."""

    async def middleware(request: Any) -> Any:
        token = _tenant.set(request.get_host().partition(".")[0])
        try:
            return await get_response(request)
        finally:
            _tenant.reset(token)

    return middleware


of_tenant = async_only_middleware(of_tenant)


def _say_as(name: str, room: Conversation) -> None:
    def work() -> None:
        _tenant.set(name)
        room.record_turn("hello", "Yes.")
        room.record_turn("again", "Yes.")

    contextvars.copy_context().run(work)


# Whose words a reader gets.

SECRET = "write to ada@example.com"


@in_database_thread
def looks() -> list[tuple[str, list[int]]]:
    """The page and the conversations of each look that is on record."""
    recorded = Event.objects.filter(type="AccessRecorded").order_by("pk")
    found: list[Any] = [event.data for event in recorded]
    return [(data.page, data.conversations) for data in found]


@pytest.fixture(autouse=True)
def _no_looks() -> None:
    recording._looks.forget()


async def test_a_reviewer_gets_words_masked_and_is_on_record_first(
    conversation: Any, people: dict[str, Any]
) -> None:
    cookie = await cookie_of(people["reviewer"])
    async with following(cookie, address(conversation, form="versions")) as source:
        await source.kind("stream-open")
        await say(conversation, SECRET, people["owner"])
        await source.kind("version")
        assert await looks() == []
    async with following(cookie, address(conversation), beginning(conversation)) as source:
        await source.kind("log", 6)
        assert await looks() == [("stream", [conversation.pk])]
        assert b"ada@example.com" not in source.body
        assert b"write to [e-mail " in source.body


async def test_whoever_has_revealed_a_conversation_gets_it_as_it_was_said(
    conversation: Any, people: dict[str, Any]
) -> None:
    reviewer = people["reviewer"]
    await reviewer.user_permissions.aadd(
        await Permission.objects.aget(codename="reveal_personal_data")
    )
    cookie = await cookie_of(reviewer)
    async with following(cookie, address(conversation)) as source:
        await source.kind("stream-open")
        await say(conversation, SECRET, people["owner"])
        await source.kind("log", 3)
        assert b"ada@example.com" not in source.body
        session = SessionStore(cookie.partition("=")[2])
        await session.aset("turnlog_revealed", {str(conversation.pk): time.time() + 60})
        await session.asave()
        await say(conversation, SECRET, people["owner"])
        await source.kind("log", 6)
        assert b"ada@example.com" in source.body


async def test_ones_own_words_are_as_they_were_said_and_no_look(
    conversation: Any, people: dict[str, Any]
) -> None:
    async with following(await cookie_of(people["owner"]), address(conversation)) as source:
        await source.kind("stream-open")
        await say(conversation, SECRET, people["owner"])
        await source.kind("log", 3)
        assert words_of(source) == [SECRET]
    assert await looks() == []


async def test_what_cannot_be_recorded_is_not_sent(
    conversation: Any, people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no record")

    async with following(await cookie_of(people["reviewer"]), address(conversation)) as source:
        await source.kind("stream-open")
        monkeypatch.setattr(recording.accesses, "record", fail)
        await say(conversation, SECRET, people["owner"])
        await source.end()
        assert not source.of("log")


def find_nothing(text: str) -> Any:
    raise RuntimeError("no model")


async def test_what_cannot_be_masked_is_withheld(
    conversation: Any, people: dict[str, Any], settings: Any
) -> None:
    settings.TURNLOG = {"FIND_PERSONAL_DATA": f"{__name__}.find_nothing"}
    async with following(await cookie_of(people["reviewer"]), address(conversation)) as source:
        await source.kind("stream-open")
        await say(conversation, SECRET, people["owner"])
        await source.kind("log", 3)
        assert b"write to" not in source.body


# Where it ends, or begins again.


async def test_whoever_loses_the_permission_is_sent_away(
    conversation: Any, people: dict[str, Any]
) -> None:
    reviewer = people["reviewer"]
    async with following(await cookie_of(reviewer), address(conversation)) as source:
        await source.kind("stream-open")
        await sync_to_async(reviewer.user_permissions.clear)()
        ended = await source.kind("stream-error")
        assert ended.json["condition"] == "forbidden"
        await source.end()
    async with following(await cookie_of(reviewer), address(conversation), ended.id) as again:
        await again.end()
    assert (ended.id, again.status) == ("error", 400)
    assert nothing_is_left()


@pytest.mark.parametrize("how", ["logout", "password", "inactive", "owner"])
async def test_whoever_has_logged_out_or_is_gone_is_sent_away(
    conversation: Any, people: dict[str, Any], how: str
) -> None:
    user = people["owner"]
    async with following(await cookie_of(user), address(conversation)) as source:
        await source.kind("stream-open")
        if how == "logout":
            await Session.objects.all().adelete()
        elif how == "password":
            user.set_password("another")
            await user.asave()
        elif how == "inactive":
            user.is_active = False
            await user.asave()
        else:
            conversation.user = people["other"]
            await sync_to_async(conversation.save)()
        assert (await source.kind("stream-error")).json["condition"] == "forbidden"
        await source.end()


async def test_nothing_is_read_for_whoever_may_not_have_it_any_more(
    conversation: Any, people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two rounds, too."""
    monkeypatch.setattr(rounds, "SECONDS", 1000)
    reviewer = people["reviewer"]
    async with following(await cookie_of(reviewer), address(conversation)) as source:
        await source.kind("stream-open")
        await sync_to_async(reviewer.user_permissions.clear)()
        await say(conversation, "not for you")
        await source.kind("stream-error")
        assert not source.of("log")


async def reset_of(user: Any, room: Conversation, last_id: str) -> str:
    """The reason to start again that a client with an id is given; and it goes on from there."""
    cookie = await cookie_of(user)
    async with following(cookie, address(room), last_id) as source:
        reset = await source.kind("stream-reset")
        await say(room, "go on", user)
        await source.kind("log", 3)
        assert words_of(source) == ["go on"]
    async with following(cookie, address(room), reset.id) as source:
        await source.kind("log", 3)
        assert words_of(source) == ["go on"]
        assert not source.of("stream-reset")
    reason: str = reset.json["reason"]
    return reason


async def id_of_now(user: Any, room: Conversation) -> str:
    async with following(await cookie_of(user), address(room)) as source:
        return (await source.kind("stream-open")).id


@pytest.mark.parametrize("who", ["owner", "reviewer"])
async def test_what_was_erased_is_a_reason_to_start_again(
    conversation: Any, people: dict[str, Any], who: str
) -> None:
    turn_id = await say(conversation, "erase me", people["owner"])
    last = await id_of_now(people[who], conversation)
    await in_database_thread(conversation.erase)([turn_id], reason="asked for")
    assert await reset_of(people["owner"], conversation, last) == "erased"


async def test_what_a_client_does_not_have_is_erased_without_notice(
    conversation: Any, people: dict[str, Any]
) -> None:
    """Others' words, and words that come later than the client is."""
    last = await id_of_now(people["owner"], conversation)
    theirs = await say(conversation, "theirs", people["other"])
    mine = await say(conversation, "mine", people["owner"])
    now = await id_of_now(people["owner"], conversation)
    await in_database_thread(conversation.erase)([mine, theirs], reason="asked for")
    cookie = await cookie_of(people["owner"])
    async with following(cookie, address(conversation), last) as source:
        await source.kind("log", 3)
        assert [each.json.get("missing") for each in source.of("log")] == ["erased"] * 3
        assert not source.of("stream-reset")
    async with following(cookie, address(conversation), now) as source:
        assert (await source.kind("stream-reset")).json["reason"] == "erased"


async def test_an_open_stream_is_told_of_an_erasure(conversation: Any, user: Any) -> None:
    turn_id = await say(conversation, "erase me", user)
    async with following(await cookie_of(user), address(conversation)) as source:
        await source.kind("stream-open")
        await in_database_thread(conversation.erase)([turn_id], reason="asked for")
        assert (await source.kind("stream-reset")).json["reason"] == "erased"


async def test_whoever_is_too_far_behind_starts_again(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_BEHIND", 5)
    last = await id_of_now(user, conversation)
    for number in range(3):
        await say(conversation, str(number), user)
    assert await reset_of(user, conversation, last) == "too_far"


@in_database_thread
def restore(room: Conversation, version: int) -> None:
    """The database as it was at a version, as after a restore from a backup."""
    tables = ("turnlog_message", "turnlog_position", "turnlog_event")
    with triggers_suspended(connection), connection.cursor() as cursor:
        cursor.execute("DELETE FROM turnlog_pending")
        for table in tables:
            column = "conversation_id" if table == "turnlog_message" else "stream_id"
            cursor.execute(
                f"DELETE FROM {table} WHERE {column} = %s AND version > %s", [room.pk, version]
            )


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_log_that_was_restored_is_a_reason_to_start_again(
    conversation: Any, user: Any, turns: int
) -> None:
    """Whether it is behind the client, at the same version, or beyond it."""
    version = await head_of(conversation)
    await say(conversation, "lost", user)
    last = await id_of_now(user, conversation)
    await restore(conversation, version)
    for number in range(turns):
        await say(conversation, str(number), user)
    assert await reset_of(user, conversation, last) == "restored"


@pytest.mark.parametrize("turns", [0, 1])
async def test_an_open_stream_is_told_of_a_restore(
    conversation: Any, user: Any, turns: int
) -> None:
    version = await head_of(conversation)
    await say(conversation, "lost", user)
    async with following(await cookie_of(user), address(conversation)) as source:
        await source.kind("stream-open")
        await restore(conversation, version)
        for number in range(turns):
            await say(conversation, str(number), user)
        assert (await source.kind("stream-reset")).json["reason"] == "restored"


async def test_another_conversations_id_is_no_place_in_this_one(
    conversation: Any, user: Any
) -> None:
    other = await Conversation.objects.acreate(user=user)
    await say(other, "here", user)
    await say(conversation, "there", user)
    last = (await id_of_now(user, other)).replace(f"-{other.pk}", f"-{conversation.pk}")
    assert await reset_of(user, conversation, last) == "restored"


async def test_a_client_that_does_not_read_is_cut_off(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SEND_SECONDS", 0.1)
    async with following(await cookie_of(user), address(conversation)) as source:
        await source.kind("stream-open")
        source.reads.clear()
        await say(conversation, "unread", user)
        await source.end()
    assert nothing_is_left()


async def test_a_client_that_leaves_while_it_is_sent_something_is_forgotten(
    conversation: Any, user: Any
) -> None:
    async with following(await cookie_of(user), address(conversation)) as source:
        await source.kind("stream-open")
        source.reads.clear()
        await say(conversation, "unread", user)
        await source.close()
    assert nothing_is_left()


async def test_a_person_has_so_many_streams(conversation: Any, user: Any, settings: Any) -> None:
    settings.TURNLOG = {"MAX_SOCKETS_PER_USER": 1}
    cookie = await cookie_of(user)
    async with following(cookie, address(conversation)) as first:
        await first.kind("stream-open")
        async with following(cookie, address(conversation)) as second:
            await second.end()
        assert (second.status, second.headers["retry-after"]) == (429, "30")
    async with following(cookie, address(conversation)) as third:
        await third.kind("stream-open")


async def test_all_streams_are_looked_after_with_the_same_statements(
    people: dict[str, Any], django_user_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "SECONDS", 1000)

    @in_database_thread
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            ended, _behind = rounds._found(list(waking.streams))
        assert not ended
        return len(captured)

    async with contextlib.AsyncExitStack() as stack:
        counts = []
        for number in range(12):
            owner = await sync_to_async(django_user_model.objects.create_user)(f"user{number}")
            room = await Conversation.objects.acreate(user=owner)
            source = await stack.enter_async_context(
                following(await cookie_of(owner), address(room))
            )
            await source.kind("stream-open")
            counts.append(await statements())
        assert set(counts) == {counts[0]}


# News from elsewhere.


class Layer(InMemoryChannelLayer):
    """A layer that fails once."""

    failed = False

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        if message.get("type") == "fail" and not self.failed:
            self.failed = True
            raise ConnectionError("the layer is gone")
        return message


JUNK: list[Any] = [{}, {"type": []}, {"type": "turnlog.news", "group": [], "version": "x"}]


@pytest.mark.parametrize("first", [JUNK, [{"type": "fail"}]])
async def test_news_of_another_process_comes_over_the_layer(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch, first: list[Any]
) -> None:
    layer, group = Layer(), f"turnlog.{conversation.pk}"
    monkeypatch.setattr(rounds, "SECONDS", 1000)
    monkeypatch.setattr(retrying, "LAYER_PAUSE", 0.01)
    monkeypatch.setattr(live, "shared_layer", lambda: layer)
    monkeypatch.setattr(waking, "_ears", waking._Ears())
    monkeypatch.setattr(waking._Waker, "tell", lambda self, batch: None)
    async with following(await cookie_of(user), address(conversation)) as source:
        await source.kind("stream-open")
        joined = await listening(layer, group)
        for message in first:
            await layer.send(joined, message)
        if {"type": "fail"} in first:
            await listening(layer, group, other_than=joined)
        await say(conversation, "over the layer", user)
        await source.kind("log", 3)


async def listening(layer: Any, group: str, other_than: str = "") -> str:
    """The channel that has joined a group, and waits for its messages."""
    async with asyncio.timeout(30):
        while not (joined := layer.groups.get(group, {}).keys() - {other_than}):
            await asyncio.sleep(0)
    return str(joined.pop())


async def test_the_list_wakes_those_whose_list_has_changed(
    conversation: Any, people: dict[str, Any]
) -> None:
    catch_up = in_database_thread(lambda: Worker(named(["overview"])).catch_up())
    await catch_up()
    query = address("turnlog-list", form="versions")
    async with (
        following(await cookie_of(people["owner"]), query) as owner,
        following(await cookie_of(people["reviewer"]), query) as reviewer,
        following(await cookie_of(people["other"]), query) as other,
    ):
        for source in (owner, reviewer, other):
            opened = await source.kind("stream-open")
        await say(conversation, "mine", people["owner"])
        await catch_up()
        await owner.kind("list")
        await reviewer.kind("list")
        assert not other.of("list")
    # Whoever was away is told when they are back.
    async with following(await cookie_of(people["owner"]), query, opened.id) as again:
        await again.kind("list")
    async with following(await cookie_of(people["other"]), query, opened.id) as again:
        await again.kind("keep-alive")
        assert not again.of("list")


# django-eventstream.


class TheirStorage:
    def get_current_id(self, channel: str) -> int:
        return 5

    def get_events(self, channel: str, last_id: int, limit: int = 100) -> list[Any]:
        return []

    def append_event(self, channel: str, event_type: str, data: Any) -> Any:
        from django_eventstream.event import Event as TheirEvent

        return TheirEvent(channel, event_type, data, id=6)


class TheirManager:
    def get_channels_for_request(self, request: Any, view_kwargs: Any) -> set[str]:
        return set(request.GET.getlist("channel"))

    def can_read_channel(self, user: Any, channel: str) -> bool:
        return channel == "orders"

    def is_channel_reliable(self, channel: str) -> bool:
        return False


@pytest.fixture
def eventstream(settings: Any) -> None:
    settings.EVENTSTREAM_STORAGE_CLASS = "turnlog.consumers.stream.storage.LogStorage"
    settings.EVENTSTREAM_CHANNELMANAGER_CLASS = "turnlog.consumers.stream.manager.LogChannelManager"
    settings.TURNLOG = {
        "EVENTSTREAM_STORAGE": f"{__name__}.TheirStorage",
        "EVENTSTREAM_CHANNELMANAGER": f"{__name__}.TheirManager",
    }


@pytest.mark.usefixtures("eventstream")
async def test_the_projects_own_channels_come_over_the_same_stream(
    conversation: Any, user: Any
) -> None:
    query = address(conversation, "orders")
    async with following(await cookie_of(user), query) as source:
        await source.kind("stream-open")
        await sync_to_async(send_event)("orders", "paid", {"order": 1})
        assert (await source.kind("paid")).json == {"order": 1}
        await say(conversation, "hello", user)
        await source.kind("log", 3)
    async with following(await cookie_of(user), address(conversation, "secrets")) as source:
        await source.end()
    assert source.status == 404


@pytest.mark.usefixtures("eventstream")
def test_the_log_is_read_by_the_library_and_never_written(conversation: Any) -> None:
    with pytest.raises(NotWritten, match="append to the conversation instead"):
        send_event(f"turnlog-{conversation.pk}", "paid", {})
    found = get_current_event_id([f"turnlog-{conversation.pk}", "orders"])
    ids = dict(part.split(":") for part in found.split(","))
    assert ids["orders"] == "5"
    assert cursor_of(int(ids[f"turnlog-{conversation.pk}"])).number == 3
    for event in LogStorage().get_events(f"turnlog-{conversation.pk}", 0):
        assert '"missing": "withheld"' in event.data


# Ids and names, for all there are.


@given(st.integers(1, 2**63), st.binary(min_size=8, max_size=8))
def test_a_cursor_is_its_id(number: int, proof: bytes) -> None:
    cursor = Cursor(number, proof)
    assert cursor_of(int(cursor)) == cursor
    assert len(str(int(cursor))) <= 39


@given(st.integers(-(2**130), 2**130))
def test_every_number_is_an_id(number: int) -> None:
    assert isinstance(cursor_of(number), Cursor)
    assert int(BEGINNING) == 0


@given(
    st.none() | st.integers(0, 10**18 - 1),
    st.from_regex(r"\A[A-Za-z0-9_-]{0,60}\Z"),
    st.none() | st.uuids(),
)
def test_a_channel_is_its_name(stream_id: int | None, tenant: str, only: uuid.UUID | None) -> None:
    channel = Channel(stream_id, tenant, only)
    assert channel_of(str(channel)) == channel
