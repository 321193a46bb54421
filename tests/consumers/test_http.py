"""The chat over HTTP, driven as Django's ASGI application, with its middleware."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import InMemoryChannelLayer
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, connection
from django.test import RequestFactory

from tests.consumers.http_client import Browser, Event, urls_of
from tests.consumers.test_limits import no_turns
from tests.consumers.test_socket import double, get_stored, said
from tests.project.models_for_tests import ScriptedModel, tool_call
from turnlog.consumers import live
from turnlog.consumers.http import leaving, outlet, stream
from turnlog.consumers.socket import limits
from turnlog.consumers.socket.layer import _members
from turnlog.consumers.socket.session import Session
from turnlog.consumers.socket.transcripts import RecordedTranscript
from turnlog.core import conf
from turnlog.core.asynchronous import in_database_thread
from turnlog.events.models import Conversation
from turnlog.views import AgentChatView, ChatView

pytestmark = pytest.mark.django_db(transaction=True)

SSE = "text/event-stream"


class Chat(AgentChatView):
    llm_system_prompt_template = "You are a {role}."
    llm_model = "scripted"
    tools = (double,)
    model: ScriptedModel

    def get_llm_prompt_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"role": "tutor"}

    def get_llm(self) -> Any:
        return self.model


@pytest.fixture
def serve(settings: Any) -> Any:
    """Serve a chat that answers with these replies; see ScriptedModel."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.csrf.CsrfViewMiddleware"]

    def serve_it(*replies: Any, **attributes: Any) -> type[Chat]:
        model = ScriptedModel(replies=list(replies), seen=[], gates=attributes.pop("gates", {}))
        view = type("ThisChat", (Chat,), {"model": model, **attributes})
        settings.ROOT_URLCONF = urls_of(view)
        return view

    return serve_it


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Any:
    yield
    assert not limits._shares
    assert not live._listeners
    assert not _members


def url(conversation: Any, query: str = "format=json") -> str:
    return f"/chat/{conversation.pk}/?{query}"


def frames(events: list[Event]) -> list[dict[str, Any]]:
    return [event.frame for event in events if "event" not in event]


async def rested() -> None:
    """Wait until nobody's share is kept for what they asked a moment ago."""
    await no_turns()
    for share in list(limits._shares.values()):
        share.pace = limits.Pace()
        share._forget_if_idle()


async def test_a_turn_streams_and_is_recorded(serve: Any, conversation: Any, user: Any) -> None:
    serve(["Let me see.", tool_call("double", {"number": 21})], ["It is ", "42."])
    browser = Browser(user)
    async with browser.stream(url(conversation)) as opened:
        assert (opened.status, opened.headers["content-type"]) == (200, f"{SSE}; charset=utf-8")
        assert opened.headers["x-accel-buffering"] == "no"
        hello = await opened.event()
        assert hello
        assert hello.frame["type"] == "hello"
        turn_id, answer = await browser.say(url(conversation), "twice 21?")
        assert answer.status == 202
        told = json.loads(await answer.body())
        events = await opened.until_answered()
    assert told == {"turn_id": turn_id, "version": 2}
    assert said(frames(events)) == "Let me see.\n\nIt is 42."
    stored = await get_stored(conversation)
    assert str(stored[1].turn_id) == turn_id
    assert stored[-1].type == "MessageAppended"
    assert events[-1]["id"] == str(stored[-1].version)
    await rested()


async def test_a_stream_goes_on_where_the_last_event_was(
    serve: Any, conversation: Any, user: Any
) -> None:
    serve(["One."], ["Two."])
    browser = Browser(user)
    async with browser.stream(url(conversation)) as opened:
        first, _ = await browser.say(url(conversation), "one?")
        events = await opened.until_answered()
    second, _ = await browser.say(url(conversation), "two?")
    await no_turns()
    # The header is what the client had last; the address is of when its page was loaded.
    at = {"last-event-id": events[-1]["id"]}
    async with browser.stream(url(conversation, "format=json&after=0"), **at) as opened:
        again = await opened.until_answered()
    assert [frame["id"] for frame in frames(again) if frame.get("type") == "turn"] == [second]
    async with browser.stream(url(conversation)) as opened:
        whole = await opened.until(
            lambda event: event.frame.get("id") == second and event.frame.get("type") == "turn"
        )
    assert first in {frame.get("id") for frame in frames(whole)}
    await rested()


async def test_only_the_last_frame_moves_the_cursor(
    serve: Any, conversation: Any, user: Any
) -> None:
    """A client that is cut off before it has all of them comes back with the older cursor."""
    serve(["One."], ["Two."])
    browser = Browser(user)
    for text in ("one?", "two?"):
        await browser.say(url(conversation), text)
        await no_turns()
    async with browser.stream(url(conversation)) as opened:
        events = await opened.until(lambda event: "id" in event)
    assert [frame["id"] for frame in frames(events) if frame.get("type") == "turn"][1:]
    head = (await get_stored(conversation))[-1].version
    assert [event["id"] for event in events if "id" in event] == [str(head)]
    await rested()


async def test_a_client_that_has_more_than_the_log_starts_again(
    serve: Any, conversation: Any, user: Any
) -> None:
    """As after a backup was restored: otherwise it would wait for what is not there."""
    serve(["One."], ["Two."])
    browser = Browser(user)
    await browser.say(url(conversation), "one?")
    await no_turns()
    async with browser.stream(url(conversation), **{"last-event-id": "99"}) as opened:
        events = await opened.until_answered()
        assert frames(events)[1] == {"type": "reset"}
        assert said(frames(events)) == "One."
        await browser.say(url(conversation), "two?")
        assert said(frames(await opened.until_answered())) == "Two."
    await rested()


class Page:
    """What a JSON client shows, and the cursor that it comes back with."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        self.cursor = ""

    def take(self, event: Event) -> None:
        self.cursor = event.get("id", self.cursor)
        frame = event.frame
        if frame.get("type") == "reset":
            self.shown.clear()
        elif frame.get("type") == "turn":
            self.shown["outcome of " + frame["id"]] = frame["outcome"]
        elif frame.get("mode") == "append":
            self.shown[frame["id"]] = self.shown.get(frame["id"], "") + frame["content"]
        elif "mode" in frame:
            self.shown[frame["id"]] = frame["content"]

    def has(self, turns: int) -> bool:
        return list(self.shown.values()).count("completed") == turns


@pytest.mark.parametrize("seed", range(6))
async def test_wherever_a_stream_is_cut_nothing_is_missing_or_twice(
    serve: Any, conversation: Any, user: Any, seed: int
) -> None:
    random, turns = Random(seed), 4
    serve(*([f"{turn}.{part} " for part in range(4)] for turn in range(turns)))
    browser, page = Browser(user), Page()
    for turn in range(turns):
        _, answer = await browser.say(url(conversation), f"{turn}?")
        assert answer.status == 202
        at = {"last-event-id": page.cursor} if page.cursor else {}
        async with browser.stream(url(conversation), **at) as opened:
            for _ in range(random.randrange(9)):
                if page.has(turn + 1) or (event := await opened.event()) is None:
                    break
                page.take(event)
        await no_turns()
    at = {"last-event-id": page.cursor} if page.cursor else {}
    async with browser.stream(url(conversation), **at) as opened:
        while not page.has(turns):
            event = await opened.event()
            assert event
            page.take(event)
    fresh = Page()
    async with browser.stream(url(conversation)) as opened:
        while not fresh.has(turns):
            event = await opened.event()
            assert event
            fresh.take(event)
    assert page.shown == fresh.shown
    assert "".join(map(str, fresh.shown.values())).count("3.3") == 1
    await rested()


async def test_a_stream_whose_database_goes_away_ends_for_now(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: Any, **options: Any) -> Any:
        raise OperationalError("secret")

    serve()
    monkeypatch.setattr(RecordedTranscript, "read", away)
    [hello, last] = await (await Browser(user).get(url(conversation), accept=SSE)).all()
    assert hello.frame["type"] == "hello"
    assert (last["event"], last.frame["reason"]) == ("end", "later")


async def test_a_long_message_is_one_event(serve: Any, conversation: Any, user: Any) -> None:
    serve(["Long."], ["And short."])
    browser, text = Browser(user), "a\nb\r\n" * 5_000
    await browser.say(url(conversation), text)
    await no_turns()
    async with browser.stream(url(conversation)) as opened:
        events = await opened.until_answered()
    assert text in [frame.get("content") for frame in frames(events)]
    await rested()


@pytest.mark.parametrize("asked", ["format=json", "format=html"])
async def test_a_message_may_stream_its_own_turn(
    serve: Any, conversation: Any, user: Any, asked: str
) -> None:
    serve(["It is ", "42."])
    _, answer = await Browser(user).say(url(conversation, asked), "What is it?", accept=SSE)
    assert answer.status == 200
    events = await answer.all()
    assert "It is 42." in "".join(event["data"] for event in events) or said(frames(events))
    assert (events[-1]["event"], events[-1].frame["reason"]) == ("end", "done")
    await answer.over()
    await rested()


async def test_a_turn_goes_on_when_its_client_leaves(
    serve: Any, conversation: Any, user: Any
) -> None:
    gate = asyncio.Event()
    serve(["It is ", "42."], gates={1: gate})
    turn_id, answer = await Browser(user).say(url(conversation), "What is it?", accept=SSE)
    await answer.until(lambda event: said(frames([event])) == "It is ")
    await answer.leave()
    assert not live._listeners
    gate.set()
    await no_turns()
    stored = await get_stored(conversation)
    assert (stored[-1].type, str(stored[-1].turn_id)) == ("MessageAppended", turn_id)
    await rested()


async def test_a_client_that_leaves_before_it_is_answered_has_said_it(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, gate = asyncio.Event(), asyncio.Event()

    async def prompt(self: Any) -> str:
        asked.set()
        await gate.wait()
        return ""

    serve(["Hello."], aget_llm_system_prompt=prompt)
    browser = Browser(user)
    posting = asyncio.create_task(browser.say(url(conversation), "hello"))
    await asked.wait()
    posting.cancel()
    gate.set()
    await asyncio.wait([posting])
    await no_turns()
    assert (await get_stored(conversation))[-1].type == "MessageAppended"
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "Exchange._run" in repr(task):
            await asyncio.wait([task])
    await rested()


async def test_a_message_is_one_turn_however_often_it_is_sent(
    serve: Any, conversation: Any, user: Any
) -> None:
    serve(["Hello."])
    browser = Browser(user)
    words = {"user_text": "hello", "turn_id": str(uuid.uuid4())}
    first = json.loads(await (await browser.post(url(conversation), words)).body())
    await no_turns()
    again = await browser.post(url(conversation), words)
    assert (again.status, json.loads(await again.body())) == (202, {"type": "known", **first})
    streamed = await browser.post(url(conversation), words, accept=SSE)
    assert said(frames(await streamed.all())) == "Hello."
    other = await browser.post(url(conversation), {**words, "user_text": "other"})
    assert other.status == 409
    assert json.loads(await other.body())["content"] == (
        "This message was sent before with other words."
    )
    assert [event.type for event in await get_stored(conversation)].count("TurnStarted") == 1
    await rested()


async def test_an_answer_is_stopped(serve: Any, conversation: Any, user: Any) -> None:
    serve(["It is ", "42."], gates={1: asyncio.Event()})
    browser = Browser(user)
    async with browser.stream(url(conversation)) as opened:
        turn_id, _ = await browser.say(url(conversation), "What is it?")
        await opened.until(lambda event: said(frames([event])) == "It is ")
        busy = (await browser.say(url(conversation), "and?"))[1]
        assert (busy.status, json.loads(await busy.body())["content"]) == (
            409,
            "Another answer is still being written: wait for it.",
        )
        stop = await browser.post(url(conversation), {"type": "stop", "turn_id": turn_id})
        assert stop.status == 202
        [*_, last] = await opened.until_answered()
    assert last.frame["outcome"] == "cancelled"
    source = await browser.post(url(conversation), {"type": "source", "turn_id": turn_id})
    assert json.loads(await source.body()) == {
        "type": "source",
        "turn_id": turn_id,
        "content": "It is ",
    }
    await rested()


@pytest.mark.parametrize("how", ["get", "post", "form"])
async def test_earlier_turns(
    serve: Any, conversation: Any, user: Any, settings: Any, how: str
) -> None:
    settings.TURNLOG = {"HISTORY_TURNS": 1}
    serve(["One."], ["Two."])
    browser = Browser(user)
    for text in ("one?", "two?"):
        await browser.say(url(conversation), text)
        await no_turns()
    async with browser.stream(url(conversation)) as opened:
        [*_, offered] = await opened.until(lambda event: event.frame.get("type") == "earlier")
    before = offered.frame["before"]
    if how == "get":
        answer = await browser.get(url(conversation, f"before={before}"), accept="application/json")
    elif how == "post":
        answer = await browser.post(url(conversation), {"type": "earlier", "before": before})
    else:
        form = {"content-type": "application/x-www-form-urlencoded"}
        body = f"type=earlier&before={before}".encode()
        answer = await browser.post(url(conversation), body, **form)
    told = json.loads(await answer.body())
    assert (told["type"], said(told["messages"]), told["more"]) == ("earlier", "One.", False)
    await rested()


async def test_a_form_is_a_message_too(serve: Any, conversation: Any, user: Any) -> None:
    serve(["Hello."], user_text_field_name="words")
    form = {"content-type": "application/x-www-form-urlencoded", "x-csrftoken": ""}
    body = f"words=hello&csrfmiddlewaretoken={'a' * 32}".encode()
    answer = await Browser(user, None).post(url(conversation), body, **form)
    assert answer.status == 202, await answer.body()
    await answer.body()
    await rested()


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        (b"{", {}, 400, "This could not be read: send a JSON object."),
        (b"\xff", {}, 400, "This could not be read: send a JSON object."),
        ({"user_text": " "}, {}, 400, "The message is empty: write something first."),
        ({"user_text": "x", "turn_id": "1"}, {}, 400, "The field turn_id must be a UUID."),
        ({"before": 1, "type": "earlier", "x": 1}, {}, 400, 'The field "x" is unknown; the'),
        (b" " * 500_000, {}, 413, "This is far too long for one message: send it in parts."),
        (
            b" " * 500_000,
            {"content-length": ""},
            413,
            "This is far too long for one message: send it in parts.",
        ),
        (
            b"user_text=x",
            {"content-type": "application/x-www-form-urlencoded", "content-length": ""},
            400,
            "A form must say how long it is: send Content-Length, or JSON.",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\nx\r\n'
            b"--b--\r\n",
            {"content-type": "multipart/form-data; boundary=b"},
            400,
            'The field "photo" is unknown; files are sent as images, files.',
        ),
    ],
)
async def test_what_cannot_be_understood_is_said_in_a_sentence(
    serve: Any,
    conversation: Any,
    user: Any,
    body: Any,
    headers: dict[str, str],
    status: int,
    sentence: str,
) -> None:
    serve()
    answer = await Browser(user).post(url(conversation), body, **headers)
    told = json.loads(await answer.body())
    assert (answer.status, told["type"]) == (status, "notice")
    assert told["content"].startswith(sentence)
    await rested()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=1&" * 1_100, "application/x-www-form-urlencoded"),
        (b"user_text=x", "application/x-www-form-urlencoded; charset=euc-kr"),
        (
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b; charset=base64",
        ),
    ],
    ids=["too many fields", "not UTF-8", "no encoding of text"],
)
async def test_a_form_that_no_middleware_has_parsed_is_refused_in_a_sentence(
    serve: Any, conversation: Any, user: Any, settings: Any, body: bytes, kind: str
) -> None:
    serve()
    # Django's own check of the token would read the form first.
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    answer = await Browser(user).post(url(conversation), body, **{"content-type": kind})
    told = json.loads(await answer.body())
    assert answer.status == 400
    assert told["content"] == "This could not be read: send a form or a JSON object."
    await rested()


NOBODY, OTHER, OWNER = "nobody", "other", "owner"


@pytest.mark.parametrize(
    ("who", "page", "stream", "post"),
    [(NOBODY, 302, 401, 401), (OTHER, 404, 404, 404), (OWNER, 200, 200, 202)],
)
async def test_who_may(
    serve: Any,
    conversation: Any,
    user: Any,
    django_user_model: Any,
    who: str,
    page: int,
    stream: int,
    post: int,
) -> None:
    serve(["Hello."])
    bob = await sync_to_async(django_user_model.objects.create_user)("bob")
    browser = Browser({NOBODY: None, OTHER: bob, OWNER: user}[who])
    address = url(conversation)
    for got, status in [
        (await browser.get(address, accept="text/html"), page),
        (await browser.ask("HEAD", address, headers={"accept": SSE}), page),
        (await browser.get(address, accept=SSE), stream),
        (await browser.get(f"{address}&before=3"), {401: 401, 404: 404}.get(stream, 200)),
        ((await browser.say(address, "hello"))[1], post),
        (
            await browser.post(address, {"type": "stop", "turn_id": str(uuid.uuid4())}),
            post,
        ),
    ]:
        assert got.status == status
        await got.leave()
    # A stream that a page asks for says it in an event, which a script sees.
    refused = await browser.get(f"{address}&refuse=event", accept=SSE)
    assert refused.status == 200
    if who == OWNER:
        await refused.leave()
    else:
        [event] = await refused.all()
        reason = {NOBODY: "signed-out", OTHER: "refused"}[who]
        assert (event["event"], event.frame["reason"]) == ("end", reason)
    # What there is not is refused as what somebody may not have.
    missing = await browser.get("/chat/999999/", accept=SSE)
    assert missing.status == {NOBODY: 401}.get(who, 404)
    await missing.body()
    await rested()


async def test_a_post_without_a_token_is_refused(serve: Any, conversation: Any, user: Any) -> None:
    serve(["Hello."])
    _, answer = await Browser(user, None).say(url(conversation), "hello")
    assert answer.status == 403
    await answer.body()
    assert not await get_stored(conversation)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_page_of_elsewhere_is_refused(
    serve: Any, conversation: Any, user: Any, settings: Any, method: str
) -> None:
    """Also where CSRF is not checked."""
    serve(["Hello."])
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "Csrf" not in name]
    headers = {"origin": "https://evil.example", "accept": SSE}
    answer = await Browser(user).ask(method, url(conversation), {"user_text": "hello"}, headers)
    assert answer.status == 403
    await answer.body()
    assert not await get_stored(conversation)


async def test_a_page_of_another_person_gets_no_stream(
    serve: Any, conversation: Any, user: Any
) -> None:
    serve()
    asked = url(conversation, "person=somebody-else&refuse=event")
    [event] = await (await Browser(user).get(asked, accept=SSE)).all()
    assert event.frame["reason"] == "signed-out"


async def test_the_page_has_what_its_script_needs(serve: Any, conversation: Any, user: Any) -> None:
    serve()
    page = await Browser(user).get(url(conversation, ""), accept="text/html,*/*;q=0.8")
    text = await page.body()
    assert f'ws-connect="/chat/{conversation.pk}/' in text
    assert "data-stream" in text
    assert "turnlog/stream.js" in text
    assert 'data-csrf=""' not in text
    assert "Ordering coffee" in text
    assert page.headers["cache-control"] == "no-store"


async def test_a_stream_ends_with_its_session(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "ALIVE_SECONDS", 0.05)
    serve()
    browser = Browser(user)
    opened = await browser.get(url(conversation), accept=SSE)
    await opened.until(lambda event: event.get("event") == "alive")
    await SessionStore(browser.session).aflush()
    [*_, last] = await opened.all()
    assert (last["event"], last.frame["reason"]) == ("end", "signed-out")
    await opened.over()


async def test_a_stream_ends_with_the_right_to_see(
    serve: Any, conversation: Any, user: Any, django_user_model: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(stream, "ALIVE_SECONDS", 0.05)
    serve()
    opened = await Browser(user).get(url(conversation), accept=SSE)
    await opened.until(lambda event: event.get("event") == "alive")
    bob = await sync_to_async(django_user_model.objects.create_user)("bob")
    conversation.user = bob
    await conversation.asave()
    [*_, last] = await opened.all()
    assert (last["event"], last.frame["reason"]) == ("end", "refused")
    await opened.over()


async def test_a_server_that_stops_does_not_wait_for_its_streams(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "LOOK_SECONDS", 0.01)
    serve()
    opened = await Browser(user).get(url(conversation), accept=SSE)
    await opened.event()
    monkeypatch.setattr(leaving, "is_stopping", lambda: True)
    [*_, last] = await opened.all()
    assert last.frame["reason"] == "later"


def test_streams_hold_no_connections_and_no_threads(
    serve: Any, user: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if a middleware and a hook look into the database, in the request's own thread."""

    async def can_accept(self: Any) -> bool:
        return await Conversation.objects.aexists()

    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.looks_into_the_database"]
    monkeypatch.setattr(stream, "ALIVE_SECONDS", 0.3)
    serve(can_accept=can_accept)
    rooms = [Conversation.objects.create(user=user) for _ in range(3 * conf.get().database_threads)]

    def connections() -> int:
        if connection.vendor != "postgresql":
            return 0
        with connection.cursor() as cursor:
            here = "FROM pg_stat_activity WHERE datname = current_database()"
            cursor.execute(f"SELECT count(*) {here}")
            return int(cursor.fetchone()[0])

    async def open_them() -> tuple[int, int]:
        browser = Browser(user)
        async with AsyncExitStack() as stack:
            for room in rooms:
                opened = await stack.enter_async_context(browser.stream(url(room)))
                await opened.until(lambda event: event.get("event") == "alive")
            return await in_database_thread(connections)(), threading.active_count()

    before = threading.active_count()  # Other tests of this process have left theirs.
    # In a thread that knows nothing of this one: otherwise all sync code is done here.
    with ThreadPoolExecutor(1) as thread:
        connected, threads = thread.submit(asyncio.run, open_them()).result()
    # turnlog's own threads, and a few: the heartbeat, this test, a stream that is looked at.
    assert connected <= conf.get().database_threads + 5
    assert threads - before <= conf.get().database_threads + 10 < len(rooms)


def looks_into_the_database(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        list(Conversation.objects.all()[:1])
        return get_response(request)

    return middleware


async def test_a_client_that_does_not_read_is_cut_off(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "SEND_SECONDS", 0.05)
    monkeypatch.setattr(stream, "ALIVE_SECONDS", 0.01)
    serve()
    opened = await Browser(user).get(url(conversation), accept=SSE)
    opened.unread.set()
    await opened.over()


async def test_a_person_has_so_many_streams(
    serve: Any, conversation: Any, user: Any, settings: Any
) -> None:
    settings.TURNLOG = {"MAX_SOCKETS_PER_USER": 1}
    serve()
    browser = Browser(user)
    async with browser.stream(url(conversation)) as one:
        await one.event()
        two = await browser.get(url(conversation), accept=SSE)
        notice, end = await two.all()
        assert notice.frame["content"].startswith("Too many of your pages are open")
        assert end.frame["reason"] == "later"
        _, answer = await browser.say(url(conversation), "hello")
        assert (answer.status, answer.headers["retry-after"]) == (429, "5")
        await answer.body()


async def test_requests_of_one_person_have_one_pace(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    class Slow(limits.Pace):
        async def wait(self) -> None:
            waited.append(self.tired)
            await super().wait()

    serve()
    browser = Browser(user)
    with monkeypatch.context() as patched:
        patched.setattr(limits, "Pace", Slow)
        # It stands still: whoever asks slowly enough has rested in between.
        patched.setattr(limits, "time", SimpleNamespace(monotonic=lambda: 0.0))
        for _ in range(3):
            await (await browser.post(url(conversation), {"type": "ping"})).body()
    assert waited[0] == 0.0
    assert waited[1] > 0.0
    assert waited[2] > waited[1]
    await rested()


async def test_the_first_message_is_sent_when_the_stream_opens(
    serve: Any, conversation: Any, user: Any
) -> None:
    serve(["Good morning!"], llm_first_user_message_template="Begin.")
    async with Browser(user).stream(url(conversation)) as opened:
        events = await opened.until_answered()
    assert said(frames(events)) == "Good morning!"
    await rested()


async def test_without_a_conversation_only_a_message_is_answered(serve: Any, user: Any) -> None:
    serve(["Hello."])
    browser = Browser(user)
    told = "This chat has no conversation, and answers only a message, as text/event-stream."
    for answer in (await browser.get("/chat/", accept=SSE), (await browser.say("/chat/", "hi"))[1]):
        assert answer.status == 400
        assert json.loads(await answer.body())["content"] == told
    _, answer = await browser.say("/chat/?format=json", "hi", accept=SSE)
    assert said(frames(await answer.all())) == "Hello."
    await answer.over()
    await rested()


def test_a_project_is_told_that_wsgi_is_not_enough(serve: Any) -> None:
    view = serve()
    response = async_to_sync(view.as_view())(RequestFactory().get("/chat/1/"), conversation_pk=1)
    assert response.status_code == 501
    assert response.content.decode() == (
        "This chat needs an ASGI server, such as uvicorn or daphne."
    )


async def test_a_stream_is_not_compressed(
    serve: Any, conversation: Any, user: Any, settings: Any
) -> None:
    """GZipMiddleware makes a gzip file of each event, and not every client reads a second one."""
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", *settings.MIDDLEWARE]
    serve()
    async with Browser(user).stream(url(conversation), **{"accept-encoding": "gzip"}) as opened:
        hello = await opened.event()
    assert hello
    assert hello.frame["type"] == "hello"


async def test_a_stream_has_a_place_in_the_channel_layer(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it, it shows an answer of another process while that is written."""
    layer, heard = InMemoryChannelLayer(), asyncio.Queue[Any]()
    monkeypatch.setattr(stream, "get_channel_layer", lambda: layer)
    monkeypatch.setattr(Session, "hear", lambda self, kind, message: heard.put_nowait(message))
    serve()
    async with Browser(user).stream(url(conversation)) as opened:
        await opened.event()
        told = {"type": "turnlog.progress", "turn_id": "x"}
        await layer.group_send(live.group_of(live.place_of(conversation.pk)), told)
        async with asyncio.timeout(30):
            assert await heard.get() == told
    assert not layer.groups


@pytest.mark.parametrize(("method", "status"), [("PUT", 405), ("OPTIONS", 200)])
async def test_other_methods(
    serve: Any, conversation: Any, user: Any, method: str, status: int
) -> None:
    serve()
    answer = await Browser(user).ask(method, url(conversation))
    assert answer.status == status
    await answer.body()


async def test_a_guest_chats_where_guests_may(serve: Any) -> None:
    async def can_accept(self: Any) -> bool:
        return True

    serve(["Hello."], can_accept=can_accept)
    conversation = await Conversation.objects.acreate()
    _, answer = await Browser().say(url(conversation), "hi", accept=SSE)
    assert said(frames(await answer.all())) == "Hello."
    await rested()


async def test_atomic_requests_do_no_harm(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    serve(["Hello."])
    _, answer = await Browser(user).say(url(conversation), "hello")
    assert answer.status == 202
    await answer.body()
    await rested()


async def test_a_chat_without_tools_has_none(serve: Any, user: Any) -> None:
    assert ChatView().get_tools() == ()


async def test_a_database_that_is_away_is_a_sentence(
    serve: Any, conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(self: Any) -> bool:
        raise OperationalError("secret")

    serve(can_accept=away)
    for got in (
        await Browser(user).get(url(conversation), accept=SSE),
        (await Browser(user).say(url(conversation), "hello"))[1],
    ):
        text = await got.body()
        assert got.status == 503
        assert "cannot be reached right now" in text
        assert "secret" not in text
