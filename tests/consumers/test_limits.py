"""One person cannot stop the others: what is bounded, and what the person is told."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from markdown_it import MarkdownIt

from tests.consumers.test_socket import Client, chat, get_stored, url
from tests.project.models_for_tests import tool_call
from turnlog.consumers.answering import tasks
from turnlog.consumers.socket import limits, watching, websocket
from turnlog.events import hooks
from turnlog.events.models import Conversation

pytestmark = pytest.mark.django_db(transaction=True)


def open_chat(*replies: Any, **attributes: Any) -> Any:
    """A chat that lets everybody in."""

    async def can_accept(self: Any) -> bool:
        return True

    return chat(*replies, can_accept=can_accept, **attributes)


async def rooms(count: int) -> list[Conversation]:
    return [await Conversation.objects.acreate() for _ in range(count)]


async def begin(client: Client) -> str:
    """Send a message whose answer does not end yet."""
    turn_id = str(uuid.uuid4())
    await client.send(user_text="hello", turn_id=turn_id)
    await client.until(lambda frame: frame.get("type") == "turn")
    return turn_id


async def no_turns() -> None:
    """Wait until no turn is under way: its page sees its end a moment before."""
    if tasks.turns:
        await asyncio.wait(tasks.turns)


async def refusal(client: Client) -> tuple[str, bool]:
    """Send a message that is refused; what is said, and whether the words are given back."""
    turn_id = str(uuid.uuid4())
    await client.send(user_text="hello", turn_id=turn_id)
    [*_, notice] = await client.until(lambda frame: frame.get("type") == "notice")
    return notice["content"], notice["refused_turn_id"] == turn_id


@pytest.fixture
def another(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("bob")


async def test_a_person_has_so_many_answers_under_way_in_all_conversations(
    user: Any, another: Any, settings: Any
) -> None:
    settings.TURNLOG = {"MAX_TURNS_PER_USER": 1}
    first, second, third = await rooms(3)
    gate = asyncio.Event()
    slow, quick = open_chat(["ok"], gates={0: gate}), open_chat(["ok"])
    async with (
        Client(slow, url(first), user) as one,
        Client(quick, url(second), user) as two,
        Client(quick, url(third), another) as others,
    ):
        await begin(one)
        assert await refusal(two) == (
            "You have too many answers under way: wait for one of them.",
            True,
        )
        await others.say("hello")  # Others do not feel it.
        gate.set()
        await one.until_ended()
        await no_turns()
        await two.say("hello")
        await no_turns()
    assert [event.type for event in await get_stored(second)].count("TurnStarted") == 1
    assert not limits._shares


async def test_all_together_have_so_many_answers_under_way(
    user: Any, another: Any, settings: Any
) -> None:
    settings.TURNLOG = {"MAX_TURNS": 1}
    first, second = await rooms(2)
    gate = asyncio.Event()
    async with (
        Client(open_chat(["ok"], gates={0: gate}), url(first), user) as one,
        Client(open_chat(["ok"]), url(second), another) as two,
    ):
        await begin(one)
        text, given_back = await refusal(two)
        assert (text[:28], given_back) == ("Too many answers are under w", True)
        gate.set()
        await one.until_ended()
        await no_turns()
        await two.say("hello")


async def test_a_person_has_so_many_sockets(
    conversation: Any, user: Any, another: Any, settings: Any
) -> None:
    settings.TURNLOG = {"MAX_SOCKETS_PER_USER": 1}
    consumer = open_chat()
    async with Client(consumer, url(conversation), user) as first:
        await first.frame()
        async with Client(consumer, url(conversation), user) as second:
            assert "Too many of your pages" in (await second.frame())["content"]
            closed = await second.communicator.receive_output(timeout=30)
        assert (closed["type"], closed["code"]) == ("websocket.close", websocket.TRY_AGAIN_LATER)
        async with Client(consumer, url(conversation), another) as theirs:
            assert (await theirs.frame())["type"] == "hello"
    async with Client(consumer, url(conversation), user) as third:
        assert (await third.frame())["type"] == "hello"


async def test_guests_behind_one_address_are_one_person(conversation: Any, settings: Any) -> None:
    settings.TURNLOG = {"MAX_SOCKETS_PER_USER": 1}

    def guest(host: str) -> Client:
        client = Client(open_chat(), url(conversation), AnonymousUser())
        client.communicator.scope["client"] = (host, 1)
        return client

    async with guest("192.0.2.1") as first, guest("192.0.2.1") as same, guest("192.0.2.2") as other:
        found = [(await client.frame())["type"] for client in (first, same, other)]
    assert found == ["hello", "notice", "hello"]


async def test_requests_that_come_too_fast_wait_with_their_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, waited = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        waited.append(seconds)
        now += seconds

    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    monkeypatch.setattr(limits.asyncio, "sleep", sleep)
    pace = limits.Pace()
    for _ in range(limits._BURST):
        await pace.wait()
    assert waited == []
    begun = now
    for _ in range(1_000):
        await pace.wait()
    assert now - begun == pytest.approx(1_000 / limits._PER_SECOND)
    now += 3600.0
    waited.clear()
    for _ in range(limits._BURST):
        await pace.wait()
    assert waited == []


async def test_a_client_that_does_not_read_is_cut_off(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "SEND_SECONDS", 0.05)
    client = Client(open_chat(), url(conversation), user)
    given, never = [{"type": "websocket.connect"}], asyncio.Event()
    stuck = 0

    async def receive() -> Any:
        if given:
            return given.pop()
        await never.wait()

    async def send(message: Any) -> None:
        nonlocal stuck
        if message["type"] == "websocket.send":
            stuck += 1
            await never.wait()

    # It ends, although the client neither reads nor leaves, and tries no second frame.
    await client.communicator.application(client.communicator.scope, receive, send)
    assert stuck == 1
    assert not limits._shares


async def test_a_page_sees_what_another_process_appends_without_a_channel_layer(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SECONDS", 0.01)
    async with Client(open_chat(["ok"]), url(conversation), user) as client:
        turn_id, _ = await client.say("hello")
        # Another process does not wake this one's pages.
        monkeypatch.setattr(hooks, "after_commit", [])
        await sync_to_async(conversation.record_turn)("elsewhere", "yes", user=user)
        frames = await client.until(lambda f: f.get("type") == "turn" and f["outcome"] != "open")
        assert "elsewhere" in json.dumps(frames)
        await conversation.aerase([uuid.UUID(turn_id)], reason="request 7")
        frames = await client.until(lambda f: f.get("type") == "turn" and f["id"] == turn_id)
    assert {"type": "reset"} in frames
    assert frames[-1]["outcome"] == "erased"


async def test_nothing_that_grows_with_a_text_is_rendered_on_the_event_loop(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it streams, when it ends, and when a page is opened."""
    here, threads = threading.get_ident(), set()
    original = MarkdownIt.parse

    def parse(self: Any, *arguments: Any) -> Any:
        threads.add((threading.get_ident() == here, threading.current_thread().name))
        return original(self, *arguments)

    monkeypatch.setattr(MarkdownIt, "parse", parse)
    answer = "|a|b|\n|-|-|\n" + "|1|2|\n" * 100
    consumer = open_chat(["Wait.", tool_call("double", {"number": 1})], [answer, "\n\nThere."])
    for _ in range(2):
        async with Client(consumer, url(conversation, ""), user) as client:
            if not threads:
                await client.send(user_text="hello")
            seen = ""
            while "There." not in seen or "Wait." not in seen:
                seen += await client.communicator.receive_from(timeout=30)
    assert [name for is_loop, name in threads if is_loop] == []
    assert {name.rstrip("0123456789") for _, name in threads} == {"turnlog-rendering_"}


async def test_what_is_written_off_the_event_loop_is_in_the_pages_language(
    conversation: Any, user: Any, settings: Any
) -> None:
    settings.LANGUAGE_CODE = "ko"
    consumer = open_chat(["```\n" + "x = 1\n" * 5_000 + "```"])
    async with Client(consumer, url(conversation, "lang=en"), user) as client:
        await client.send(user_text="hello")
        while 'data-outcome="completed"' not in await client.communicator.receive_from(timeout=30):
            pass
    async with Client(consumer, url(conversation, "lang=en"), user) as client:
        page = ""
        while 'data-outcome="completed"' not in page:
            page = await client.communicator.receive_from(timeout=30)
    assert len(page) > 20_000
    assert ("You<" in page, "나<" in page) == (True, False)
