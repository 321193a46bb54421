"""The socket of a chat, driven as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any, Literal

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError, connection
from django.urls import path
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables.utils import AddableDict

from tests.consumers.trace import traced
from tests.project.models_for_tests import ScriptedModel, tool_call
from turnlog.consumers import AgentChatConsumer, ChatConsumer
from turnlog.consumers.answering import running, tasks
from turnlog.events import turns
from turnlog.events.models import Conversation, Event
from turnlog.projections.models import ConversationMessage

pytestmark = pytest.mark.django_db(transaction=True)


def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


class Chat(AgentChatConsumer):
    llm_system_prompt_template = "You are a {role}."
    llm_model = "scripted"
    tools = (double,)
    model: ScriptedModel

    def get_llm_prompt_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"role": "tutor"}

    def get_llm(self) -> Any:
        return self.model


class Client:
    """A JSON client of one chat."""

    def __init__(
        self, consumer: type[AgentChatConsumer], url: str, user: Any, **headers: str
    ) -> None:
        application = URLRouter(
            [
                path("ws/chat/<int:conversation_pk>/", consumer.as_asgi()),
                path("ws/chat/", consumer.as_asgi()),
            ]
        )
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.communicator = WebsocketCommunicator(application, url, raw)
        self.communicator.scope["user"] = user

    async def __aenter__(self) -> Client:
        connected, code = await self.communicator.connect(timeout=30)
        assert connected, code
        return self

    async def __aexit__(self, *args: Any) -> None:
        await self.communicator.disconnect(timeout=30)

    async def refused(self) -> bool:
        connected, _ = await self.communicator.connect(timeout=30)
        return not connected

    async def send(self, **fields: Any) -> None:
        await self.communicator.send_to(text_data=json.dumps(fields))

    async def frame(self) -> dict[str, Any]:
        text = await self.communicator.receive_from(timeout=30)
        parsed: dict[str, Any] = json.loads(text)
        return parsed

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Frames up to and with the first that is wanted."""
        frames = [await self.frame()]
        while not wanted(frames[-1]):
            frames.append(await self.frame())
        return frames

    async def say(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        """Say something; the turn's id, and the frames up to and with its end."""
        turn_id = str(uuid.uuid4())
        await self.send(user_text=text, turn_id=turn_id)
        return turn_id, await self.until(
            lambda f: f.get("id") == turn_id and f.get("outcome", "open") != "open"
        )

    async def until_ended(self) -> list[dict[str, Any]]:
        return await self.until(lambda f: f.get("type") == "turn" and f["outcome"] != "open")


def said(frames: list[dict[str, Any]]) -> str:
    """What an assistant's frames add up to."""
    text = ""
    for frame in frames:
        if frame.get("role") == "assistant":
            text = frame["content"] if frame["mode"] == "overwrite" else text + frame["content"]
    return text


def chat(*replies: Any, **attributes: Any) -> type[Chat]:
    model = ScriptedModel(replies=list(replies), seen=[], gates=attributes.pop("gates", {}))
    return type("ThisChat", (Chat,), {"model": model, **attributes})


def url(conversation: Any, query: str = "format=json") -> str:
    return f"/ws/chat/{conversation.pk}/?{query}"


def stored(conversation: Any) -> list[Event]:
    return list(Event.objects.filter(stream_id=conversation.pk).order_by("version"))


get_stored = sync_to_async(stored)


async def test_a_turn_streams_and_is_recorded(conversation: Any, user: Any) -> None:
    consumer = chat(["Let me see.", tool_call("double", {"number": 21})], ["It is ", "42."])
    turn_id = str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        hello = await client.frame()
        assert (hello["type"], hello["max_length"]) == ("hello", 32_768)
        await client.send(user_text="twice 21?", turn_id=turn_id)
        frames = await client.until_ended()
    assert frames[0] == {
        "id": f"{turn_id}-human",
        "role": "user",
        "mode": "overwrite",
        "content": "twice 21?",
    }
    assert said(frames) == "Let me see.\n\nIt is 42."
    tools = [frame for frame in frames if frame.get("role") == "tool"]
    assert tools[0]["name"] == "double"
    assert (tools[-1]["status"], tools[-1]["content"]) == ("ok", "42")
    assert frames[-1]["outcome"] == "completed"
    events = await get_stored(conversation)
    assert [event.type for event in events] == [
        *("ConversationOpened", "TurnStarted", "MessageAppended", "ModelCallRecorded"),
        *("ToolOutputRecorded", "ModelCallRecorded", "MessageAppended"),
    ]
    assert {str(event.turn_id) for event in events[1:]} == {turn_id}
    assert events[1].data.model == "ScriptedModel"  # type: ignore[union-attr]
    [system, human] = consumer.model.seen[0]
    assert (system, human) == (SystemMessage("You are a tutor."), HumanMessage("twice 21?"))


async def test_the_next_turn_is_given_what_was_said(conversation: Any, user: Any) -> None:
    consumer = chat(["one", tool_call("double", {"number": 1})], ["!"], ["two"])
    async with Client(consumer, url(conversation), user) as client:
        for text in ("a", "b"):
            await client.send(user_text=text)
            await client.until_ended()
    texts = [message.content for message in consumer.model.seen[-1]]
    assert texts == ["You are a tutor.", "a", "one\n\n!", "b"]


async def test_the_words_are_committed_before_the_model_is_called(
    conversation: Any, user: Any
) -> None:
    at_the_call: list[list[str]] = []

    class Watching(ScriptedModel):
        async def _astream(self, *args: Any, **kwargs: Any) -> Any:
            at_the_call.append([event.type for event in await get_stored(conversation)])
            async for chunk in super()._astream(*args, **kwargs):
                yield chunk

    consumer = chat()
    consumer.model = Watching(replies=[["ok"]])
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await client.until_ended()
    assert at_the_call == [["ConversationOpened", "TurnStarted"]]


async def test_ping_is_answered_while_the_model_works_and_leaving_does_not_cancel(
    conversation: Any, user: Any
) -> None:
    gate = asyncio.Event()
    consumer = chat(["half ", "whole"], gates={1: gate})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await client.until(lambda frame: frame.get("content") == "half ")
        await client.send(type="ping")
        await client.until(lambda frame: frame.get("type") == "pong")
    async with Client(consumer, url(conversation), user) as client:
        frames = await client.until(lambda frame: frame.get("type") == "turn")
        assert said(frames) == "half "  # It joins the turn where it is.
        gate.set()
        frames += await client.until_ended()
        assert said(frames) == "half whole"
    assert (await get_stored(conversation))[-1].type == "MessageAppended"


async def test_a_second_tab_sees_the_same(conversation: Any, user: Any) -> None:
    gate = asyncio.Event()
    consumer = chat(["half ", "whole"], gates={1: gate})
    async with (
        Client(consumer, url(conversation), user) as one,
        Client(consumer, url(conversation), user) as two,
    ):
        await one.send(user_text="hello")
        first = await one.until(lambda frame: frame.get("content") == "half ")
        gate.set()
        first += await one.until_ended()
        second = await two.until_ended()
    assert said(first) == said(second) == "half whole"


async def test_sending_twice_is_one_turn(conversation: Any, user: Any) -> None:
    gate = asyncio.Event()
    consumer = chat(["ok"], ["again"], gates={0: gate})
    message = {"user_text": "hello", "turn_id": str(uuid.uuid4())}
    async with Client(consumer, url(conversation), user) as client:
        await client.send(**message)
        await client.send(**message)
        await client.until(lambda frame: frame.get("role") == "user")
        gate.set()
        await client.until_ended()
        await client.send(**message)
        await client.send(type="ping")
        frames = await client.until(lambda frame: frame.get("type") == "pong")
    assert {frame["type"] for frame in frames} <= {"known", "pong"}
    assert [e.type for e in await get_stored(conversation)].count("TurnStarted") == 1


async def test_the_next_message_does_not_wait_for_one_that_is_sent_again(
    conversation: Any, user: Any
) -> None:
    async with Client(chat(["ok"], ["yes"]), url(conversation), user) as client:
        again, _ = await client.say("hello")
    async with Client(chat(["ok"], ["yes"]), url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=again)
        await client.say("more")  # At once, and it is not refused.
    started = [event.turn_id for event in await get_stored(conversation) if event.version > 1]
    assert len(set(started)) == 2


async def test_one_turn_at_a_time(conversation: Any, user: Any) -> None:
    gate = asyncio.Event()
    consumer = chat(["ok"], gates={0: gate})
    second = str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="first")
        await client.until(lambda frame: frame.get("type") == "turn")
        await client.send(user_text="second", turn_id=second)
        notice = await client.frame()
        gate.set()
        await client.until_ended()
    assert (notice["type"], notice["refused_turn_id"]) == ("notice", second)
    assert "wait for it" in notice["content"]


async def test_stop_records_what_was_said(conversation: Any, user: Any) -> None:
    consumer = chat(["half", "never"], gates={1: asyncio.Event()})
    turn_id = str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=turn_id)
        await client.until(lambda frame: frame.get("content") == "half")
        await client.send(type="stop", turn_id=str(uuid.uuid4()))  # Of another turn.
        await client.send(type="stop", turn_id=turn_id)
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "cancelled"
    last = (await get_stored(conversation))[-1]
    assert last.meta["outcome"] == "cancelled"
    assert last.data.message["_value"]["content"] == "half"  # type: ignore[union-attr]


class Swallowing(asyncio.Event):
    """As `asyncio.wait_for` of Python 3.11 if a chunk arrives at the moment of the stop."""

    async def wait(self) -> Literal[True]:
        with contextlib.suppress(asyncio.CancelledError):
            await super().wait()
        return True


async def test_a_stop_that_the_models_client_swallows_is_one(conversation: Any, user: Any) -> None:
    gates = {1: Swallowing(), 2: asyncio.Event()}
    consumer, turn_id = chat(["half", " more", "never"], gates=gates), str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=turn_id)
        await client.until(lambda frame: frame.get("content") == "half")
        await client.send(type="stop", turn_id=turn_id)
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "cancelled"
    last = (await get_stored(conversation))[-1]
    assert last.data.message["_value"]["content"] == "half more"  # type: ignore[union-attr]


async def test_an_answers_markdown_is_for_those_who_see_the_turn(
    user: Any, django_user_model: Any
) -> None:
    conversation = await Conversation.objects.acreate()  # Nobody's: both may enter.
    other = await django_user_model.objects.acreate(username="grace")
    consumer = chat(["**bold** ", "\\d"])

    async def source(client: Client, turn_id: str) -> str:
        await client.send(type="source", turn_id=turn_id)
        frames = await client.until(lambda frame: frame.get("type") == "source")
        assert frames[-1]["turn_id"] == turn_id
        return str(frames[-1]["content"])

    async with Client(consumer, url(conversation), user) as client:
        turn_id, _ = await client.say("hello")
        assert await source(client, turn_id) == "**bold** \\d"
        assert await source(client, str(uuid.uuid4())) == ""
        async with Client(consumer, url(conversation), other) as another:
            assert await source(another, turn_id) == ""
        await conversation.aclear(by=user)
        assert await source(client, turn_id) == ""
    async with Client(chat(["**more**"]), "/ws/chat/?format=json", user) as client:
        turn_id, _ = await client.say("hello")
        assert await source(client, turn_id) == "**more**"


async def test_the_model_knows_what_was_said_before_the_stop(conversation: Any, user: Any) -> None:
    gate = asyncio.Event()
    consumer = chat(["half", "never"], ["the rest"], gates={1: gate})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=(turn_id := str(uuid.uuid4())))
        await client.until(lambda frame: frame.get("content") == "half")
        await client.send(type="stop", turn_id=turn_id)
        await client.until_ended()
        gate.set()
        await client.send(user_text="go on")
        await client.until_ended()
    texts = [message.content for message in consumer.model.seen[-1]]
    assert texts == ["You are a tutor.", "hello", "half", "go on"]
    async with Client(consumer, url(conversation), user) as client:
        frames = await client.until(lambda frame: frame.get("content") == "the rest")
    ended = [frame["outcome"] for frame in frames if frame.get("type") == "turn"]
    assert ended == ["cancelled"]


async def test_a_failing_model_leaves_the_words_and_a_usable_socket(
    conversation: Any, user: Any, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = chat(["half", RuntimeError("secret detail")], ["fine"])
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="my own words")
        frames = await client.until_ended()
        assert frames[-1]["outcome"] == "failed"
        assert frames[-1]["error"].startswith("The model could not answer. Your message is saved")
        await client.send(user_text="again")
        assert said(await client.until_ended()) == "fine"
    failed = (await get_stored(conversation))[2]
    assert failed.data.error["kind"] == "error"  # type: ignore[union-attr,index]
    assert "RuntimeError at" in caplog.text
    assert "secret detail" not in caplog.text
    assert "my own words" not in caplog.text


async def test_a_chat_that_is_not_set_up_keeps_the_words(conversation: Any, user: Any) -> None:
    consumer = chat(llm_system_prompt_template="{nobody}")
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    assert "not set up correctly" in frames[-1]["error"]
    events = await get_stored(conversation)
    assert [event.type for event in events[1:]] == ["TurnStarted", "TurnFailed"]


async def test_no_key_is_said_in_one_sentence(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)

    class Plain(ChatConsumer):
        pass

    async with Client(Plain, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    assert "did not accept this site's key, or there is none" in frames[-1]["error"]


async def test_an_overridden_hook_that_records_nothing_is_noted(
    conversation: Any, user: Any
) -> None:
    async def nothing(self: Any, *args: Any) -> None:
        pass

    consumer = chat(["ok"], on_conversation_complete=nothing)
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "unrecorded"
    failed = (await get_stored(conversation))[-1].data
    assert failed.produced["message"]["_value"]["content"] == "ok"  # type: ignore[union-attr]


async def test_a_hook_that_raises_ends_the_turn_as_failed(conversation: Any, user: Any) -> None:
    async def broken(self: Any, *args: Any) -> None:
        raise ValueError("oops")

    consumer = chat(["ok"], on_conversation_complete=broken)
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "failed"
    assert (await get_stored(conversation))[-1].type == "TurnFailed"


async def test_the_hook_is_given_the_tutorials_arguments(conversation: Any, user: Any) -> None:
    given: list[Any] = []

    class Hooked(Chat):
        async def on_conversation_complete(
            self, human_message: Any, ai_message: Any, tools_output_list: Any = None
        ) -> None:
            given.append((human_message, ai_message, tools_output_list))
            await super().on_conversation_complete(human_message, ai_message, tools_output_list)

    Hooked.model = ScriptedModel(replies=[[tool_call("double", {"number": 1})], ["ok"], ["b"]])
    async with Client(Hooked, url(conversation), user) as client:
        for text in ("a", "b"):
            await client.send(user_text=text)
            await client.until_ended()
    human, answer, tools = given[0]
    assert isinstance(human, HumanMessage)
    assert isinstance(answer, AIMessage)
    assert [type(tool) for tool in tools] == [AddableDict]
    assert given[1][2] is None


async def test_a_database_that_comes_back_gets_the_answer(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, tries = turns.record, []

    def away_at_first(*args: Any, **kwargs: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("server closed the connection")
        return original(*args, **kwargs)

    monkeypatch.setattr(turns, "record", away_at_first)
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def no_pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0 if seconds in (0.5, 1.0) else seconds)

    monkeypatch.setattr(tasks.asyncio, "sleep", no_pause)
    async with Client(chat(["ok"]), url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "completed"
    assert [pause for pause in pauses if pause in (0.5, 1.0)] == [0.5, 1.0]


async def test_a_database_that_is_away_refuses_the_words_back(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def away(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("no route to host")

    async with Client(chat(["ok"]), url(conversation), user) as client:
        await client.frame()
        monkeypatch.setattr(turns, "start", away)
        turn_id = str(uuid.uuid4())
        await client.send(user_text="my own words", turn_id=turn_id)
        notice = await client.frame()
        assert notice["refused_turn_id"] == turn_id
        assert "cannot be reached right now" in notice["content"]
        monkeypatch.undo()
        await client.send(user_text="again")
        assert said(await client.until_ended()) == "ok"
    assert "my own words" not in caplog.text


async def test_a_page_that_finds_no_database_is_told_to_come_back(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    async def away(self: Any) -> Any:
        raise OperationalError("no route to host")

    client = Client(chat(aget_conversation=away), url(conversation), user)
    connected, _ = await client.communicator.connect(timeout=30)
    assert connected  # A refused page would not come back.
    closing = await client.communicator.receive_output(timeout=30)
    assert (closing["type"], closing["code"]) == ("websocket.close", 1013)
    assert "could not be opened: OperationalError" in caplog.text


async def test_without_a_conversation_it_chats_and_records_nothing(user: Any) -> None:
    consumer = chat(["one"], ["two"])
    async with Client(consumer, "/ws/chat/?format=json", user) as client:
        for text, answer in (("a", "one"), ("b", "two")):
            await client.send(user_text=text)
            assert said(await client.until_ended()) == answer
    assert [m.content for m in consumer.model.seen[1]] == ["You are a tutor.", "a", "one", "b"]
    assert not await sync_to_async(Event.objects.exists)()


async def test_an_empty_conversation_begins_by_itself_once(conversation: Any, user: Any) -> None:
    consumer = chat(["welcome"], llm_first_user_message_template="Begin as a {role}.")
    async with Client(consumer, url(conversation), user) as client:
        frames = await client.until_ended()
    assert [f["content"] for f in frames if f.get("role") == "user"] == ["Begin as a tutor."]
    async with Client(consumer, url(conversation), user) as client:
        frames = await client.until_ended()
        assert said(frames) == "welcome"
    assert len(consumer.model.seen) == 1


async def test_the_first_message_can_be_kept_from_the_page(conversation: Any, user: Any) -> None:
    consumer = chat(
        ["welcome"], llm_first_user_message_template="Begin.", show_initial_prompt=False
    )
    for _ in range(2):
        async with Client(consumer, url(conversation), user) as client:
            frames = await client.until_ended()
        assert [f for f in frames if f.get("role") == "user"] == []
        assert said(frames) == "welcome"


async def test_clearing_empties_an_open_page(conversation: Any, user: Any) -> None:
    consumer = chat(["ok"])
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await client.until_ended()
        await conversation.aclear(by=user)
        assert await client.frame() == {"type": "reset"}
    async with Client(consumer, url(conversation), user) as client:
        await client.send(type="ping")
        frames = await client.until(lambda frame: frame.get("type") == "pong")
    assert [frame["type"] for frame in frames if frame["type"] != "reset"] == ["hello", "pong"]
    assert await sync_to_async(ConversationMessage.objects.count)() == 0


async def test_erasing_takes_the_words_from_an_open_page(conversation: Any, user: Any) -> None:
    async with Client(chat(["ok"], ["more"]), url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
        await client.send(user_text="and?")
        await client.until_ended()
        erased = uuid.UUID(frames[-1]["id"])
        await conversation.aerase([erased], reason="request 7")
        assert await client.frame() == {"type": "reset"}
        shown = await client.until(lambda f: f.get("type") == "turn" and f["id"] != str(erased))
    assert shown[0]["outcome"] == "erased"
    assert shown[0]["error"].endswith(" for request 7")
    assert [frame["content"] for frame in shown if "content" in frame] == ["and?", "more"]
    # And who comes back after it is not left with them.
    async with Client(chat(), url(conversation, "format=json&after=7"), user) as client:
        frames = await client.until(lambda frame: frame.get("type") == "turn")
    assert {"type": "reset"} in frames


async def test_an_erased_turn_that_is_finished_late_ends_as_failed(
    conversation: Any, user: Any
) -> None:
    """Another host took this one for dead, and what it was answering was erased."""
    consumer = chat(["half", "whole"], gates={1: asyncio.Event()})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="pomegranate")
        await client.until(lambda frame: frame.get("content") == "half")
        [turn_id] = await sync_to_async(list)(
            Event.objects.filter(type="TurnStarted").values_list("turn_id", flat=True)
        )
        await conversation.afail_turn(turn_id, "interrupted")
        await conversation.aerase([turn_id], reason="request 7")
        consumer.model.gates[1].set()
        while running.find(conversation.pk):
            await asyncio.sleep(0)
    stored = Event.objects.filter(payload__contains="pomegranate")
    assert not await sync_to_async(stored.exists)()
    assert not await sync_to_async(ConversationMessage.objects.exists)()


async def test_a_resend_of_what_the_page_does_not_show_is_acknowledged(
    conversation: Any, user: Any, settings: Any
) -> None:
    settings.TURNLOG = {"HISTORY_TURNS": 1}
    turn_ids = [uuid.uuid4(), uuid.uuid4()]
    for turn_id in turn_ids:
        await conversation.arecord_turn("hello", AIMessage("hi"), user=user, turn_id=turn_id)
    async with Client(chat(), url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=str(turn_ids[0]))
        frames = await client.until(lambda frame: frame.get("type") == "known")
    assert frames[-1] == {"type": "known", "turn_id": str(turn_ids[0])}
    assert f"{turn_ids[0]}-human" not in {frame.get("id") for frame in frames}


async def test_a_resend_of_what_was_cleared_is_given_back(conversation: Any, user: Any) -> None:
    consumer = chat(["ok"])
    message = {"user_text": "hello", "turn_id": str(uuid.uuid4())}
    async with Client(consumer, url(conversation), user) as client:
        await client.send(**message)
        await client.until_ended()
        await conversation.aclear()
        await client.until(lambda frame: frame.get("type") == "reset")
        await client.send(**message)
        notice = await client.frame()
    assert notice["refused_turn_id"] == message["turn_id"]
    assert "cleared" in notice["content"]


async def test_a_client_that_comes_back_is_sent_what_it_missed(
    conversation: Any, user: Any
) -> None:
    for text in ("a", "b", "c"):
        await conversation.arecord_turn(text, AIMessage(text.upper()), user=user)
    async with Client(chat(), url(conversation, "format=json&after=3"), user) as client:
        frames = await client.until(lambda f: f.get("type") == "turn" and f["version"] == 7)
    assert [f["content"] for f in frames if f.get("role") == "user"] == ["b", "c"]


async def test_older_turns_come_on_request(conversation: Any, user: Any, settings: Any) -> None:
    settings.TURNLOG = {"HISTORY_TURNS": 2}
    for number in range(5):
        await conversation.arecord_turn(str(number), AIMessage("ok"), user=user)
    async with Client(chat(), url(conversation), user) as client:
        frames = await client.until(lambda f: f.get("type") == "turn" and f["version"] == 11)
        assert [f["content"] for f in frames if f.get("role") == "user"] == ["3", "4"]
        [more] = [frame for frame in frames if frame.get("type") == "earlier"]
        assert more["more"]
        await client.send(type="earlier", before=more["before"])
        page = await client.frame()
        assert [m["content"] for m in page["messages"] if m.get("role") == "user"] == ["1", "2"]
        await client.send(type="earlier", before=page["before"])
        page = await client.frame()
        assert [m["content"] for m in page["messages"] if m.get("role") == "user"] == ["0"]
        assert not page["more"]


@pytest.mark.parametrize("who", ["anonymous", "nobody", "another"])
async def test_who_may_not_enter_is_refused_before_the_socket_is_accepted(
    who: str, conversation: Any, django_user_model: Any
) -> None:
    another = await sync_to_async(django_user_model.objects.create_user)("another")
    person = {"anonymous": AnonymousUser(), "nobody": None, "another": another}[who]
    assert await Client(chat(), url(conversation), person).refused()


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("another", "can_accept() said no"),
        (None, "it has no user: put the routes into channels.auth.AuthMiddlewareStack"),
    ],
)
async def test_a_page_is_refused_by_a_code_that_its_script_sees(
    who: str | None,
    reason: str,
    debug: bool,
    conversation: Any,
    django_user_model: Any,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.DEBUG = debug
    caplog.set_level("INFO", "turnlog")
    another = await sync_to_async(django_user_model.objects.create_user)("another")
    client = Client(chat(), url(conversation, "format=json&refuse=close"), another)
    if who is None:
        del client.communicator.scope["user"]
    assert not await client.refused()
    closing = await client.communicator.receive_output(timeout=30)
    assert (closing["code"], closing.get("reason") or "") == (4403, reason if debug else "")
    assert len(reason) <= 123
    assert f"refused a socket to /ws/chat/{conversation.pk}/: {reason}" in caplog.text


async def test_a_foreign_page_is_refused_before_the_socket_is_accepted(
    conversation: Any, user: Any
) -> None:
    headers = {"origin": "http://evil.example", "host": "testserver"}
    assert await Client(chat(), url(conversation, "refuse=close"), user, **headers).refused()


async def test_an_unknown_conversation_is_refused_to_everybody(user: Any) -> None:
    async def everybody(self: Any) -> bool:
        return True

    client = Client(chat(can_accept=everybody), "/ws/chat/99999/?format=json", user)
    assert await client.refused()


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://testserver", True),
        ("https://evil.example", False),
        ("null", False),
        ("https://friend.example:8443", True),
    ],
)
async def test_only_our_own_pages_may_open_a_socket(
    origin: str, allowed: bool, conversation: Any, user: Any, settings: Any
) -> None:
    settings.TURNLOG = {"ALLOWED_ORIGINS": ["https://friend.example:8443"]}
    client = Client(chat(), url(conversation), user, origin=origin, host="testserver")
    assert await client.refused() != allowed
    if allowed:
        await client.communicator.disconnect()


async def test_a_user_who_was_deactivated_is_shown_out(conversation: Any, user: Any) -> None:
    async with Client(chat(["ok"]), url(conversation), user) as client:
        await client.frame()
        user.is_active = False
        await sync_to_async(user.save)()
        await client.send(user_text="hello")
        await client.send(
            user_text="hello?"
        )  # A server takes one close only, and nothing after it.
        closing = await client.communicator.receive_output(timeout=30)
        assert await client.communicator.receive_nothing()
    assert (closing["type"], closing["code"]) == ("websocket.close", 4401)
    assert await sync_to_async(Event.objects.count)() == 0


async def test_bad_requests_are_answered_and_the_socket_stays(conversation: Any, user: Any) -> None:
    async with Client(chat(["ok"]), url(conversation), user) as client:
        await client.frame()
        for bad in ("{", "[]", '{"surprise": 1}', json.dumps({"user_text": "x" * 32_769})):
            await client.communicator.send_to(text_data=bad)
            assert (await client.frame())["type"] == "notice"
        await client.communicator.send_to(bytes_data=b"\x00")
        assert "Only text" in (await client.frame())["content"]
        await client.send(user_text="hello")
        assert said(await client.until_ended()) == "ok"


async def test_half_an_emoji_harms_nobody(conversation: Any, user: Any) -> None:
    consumer = chat(["a cut emoji: \ud83d"])
    await conversation.arecord_turn("old \ud83d", AIMessage("older \ud83d"), user=user)
    for query in ("format=json", ""):
        async with Client(consumer, url(conversation, query), user) as client:
            text = await client.communicator.receive_from(timeout=30)
            text += await client.communicator.receive_from(timeout=30)
            text.encode()
    async with Client(consumer, url(conversation), user) as client:
        await client.until_ended()
        await client.send(user_text="mine \ud83d")
        frames = await client.until_ended()
    assert frames[0]["content"] == "mine \ufffd"
    assert said(frames) == "a cut emoji: \ufffd"
    assert consumer.model.seen[0][-1].content == "mine \ufffd"


async def test_a_start_whose_acknowledgement_was_lost_does_not_block_the_conversation(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = turns.start

    def committed_and_lost(*args: Any, **kwargs: Any) -> Any:
        original(*args, **kwargs)
        raise OperationalError("server closed the connection")

    async with Client(chat(["ok"]), url(conversation), user) as client:
        await client.frame()
        monkeypatch.setattr(turns, "start", committed_and_lost)
        await client.send(user_text="hello")
        await client.until(lambda frame: frame.get("type") == "notice")
        monkeypatch.undo()
        frames = await client.until_ended()
        assert frames[-1]["outcome"] == "failed"
        await client.send(user_text="again")
        assert said(await client.until_ended()) == "ok"


async def test_whatever_goes_wrong_the_words_come_back(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("of any kind")

    turn_id = str(uuid.uuid4())
    async with Client(chat(["ok"]), url(conversation), user) as client:
        await client.frame()
        monkeypatch.setattr(turns, "start", broken)
        await client.send(user_text="hello", turn_id=turn_id)
        assert (await client.frame())["refused_turn_id"] == turn_id


async def test_a_prompt_that_cannot_be_stored_fails_the_turn_and_keeps_the_words(
    conversation: Any, user: Any
) -> None:
    from decimal import Decimal

    consumer = chat(["ok"], llm_temperature=Decimal("0.5"))
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "failed"
    events = await get_stored(conversation)
    assert [event.type for event in events[1:]] == ["TurnStarted", "TurnFailed"]


async def test_a_conversation_that_changed_hands_is_closed_to_its_old_owner(
    conversation: Any, user: Any, django_user_model: Any
) -> None:
    async with Client(chat(["ok"]), url(conversation), user) as client:
        await client.frame()
        conversation.user = await sync_to_async(django_user_model.objects.create_user)("bob")
        await sync_to_async(conversation.save)()
        await client.send(user_text="still me?")
        closing = await client.communicator.receive_output(timeout=30)
    assert (closing["type"], closing["code"]) == ("websocket.close", 4403)
    stored = [event.type for event in await get_stored(conversation)]
    assert stored == ["ConversationOpened", "OwnerChanged"]


async def test_templates_that_cannot_be_filled_in_leave_a_usable_chat(
    conversation: Any, user: Any, caplog: Any
) -> None:
    consumer = chat(
        ["ok"],
        welcome_message_template="<p>{nobody}</p>",
        llm_first_user_message_template="{nobody}",
    )
    async with Client(consumer, url(conversation), user) as client:
        assert (await client.frame())["welcome"] == ""
        # One error for each of the two; after a message, no first one would be made.
        while caplog.text.count("a template needs {nobody}") < 2:
            await asyncio.sleep(0.01)
        await client.send(user_text="hello")
        assert said(await client.until_ended()) == "ok"


async def test_the_welcome_is_filled_in_and_its_values_are_escaped(
    conversation: Any, user: Any
) -> None:
    for template, shown in (
        ("<p>Hello</p>", "<p>Hello</p>"),
        ("<b>{role}</b>", "<b>&lt;i&gt;</b>"),
    ):
        consumer = chat(
            welcome_message_template=template,
            get_llm_prompt_context_data=lambda self, **kwargs: {"role": "<i>"},
        )
        async with Client(consumer, url(conversation), user) as client:
            assert (await client.frame())["welcome"] == shown


async def test_clearing_stops_the_turn_that_it_hides(conversation: Any, user: Any) -> None:
    consumer = chat(["half", "never"], ["next"], gates={1: asyncio.Event()})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await client.until(lambda frame: frame.get("content") == "half")
        await conversation.aclear(by=user)
        await client.until(lambda frame: frame.get("type") == "reset")
        while running.find(conversation.pk):
            await asyncio.sleep(0)
        consumer.model.gates = {}
        await client.send(user_text="next topic")
        assert said(await client.until_ended()) == "next"


async def test_a_document_that_cannot_be_read_here_does_not_close_the_room(
    conversation: Any, user: Any
) -> None:
    from turnlog.events.log import NewEvent, append
    from turnlog.events.types import MessageAppended

    turn = await conversation.astart_turn("hello", user=user)
    future = MessageAppended({"_type": "FutureMessage", "_value": {}})
    event = NewEvent(future, turn.turn_id, turn.event.actor_id)
    await sync_to_async(append)(conversation.pk, [event])
    async with Client(chat(["ok"]), url(conversation), user) as client:
        assert said(await client.until_ended()) == "This message cannot be shown here."
        await client.send(user_text="and now?")
        assert said(await client.until_ended()) == "ok"


async def test_calls_that_were_never_answered_are_not_given_to_the_model(
    conversation: Any, user: Any
) -> None:
    call = {"name": "double", "args": {"number": 1}, "id": "call-1"}
    await conversation.arecord_turn("a", AIMessage("b", tool_calls=[call]), user=user)
    consumer = chat(["ok"])
    async with Client(consumer, url(conversation), user) as client:
        await client.until_ended()
        await client.send(user_text="c")
        await client.until_ended()
    [answer] = [m for m in consumer.model.seen[0] if isinstance(m, AIMessage)]
    assert (answer.content, answer.tool_calls) == ("b", [])


async def test_the_page_gets_html_in_its_language(conversation: Any, user: Any) -> None:
    await conversation.arecord_turn("<b>안녕</b>", AIMessage("**hi**"), user=user)
    await conversation.astart_turn("lost", user=user)
    client = Client(chat(), url(conversation, "lang=ko"), user)
    async with client:
        hello = await client.communicator.receive_from(timeout=30)
        assert 'id="turnlog-config"' in hello
        turn = await client.communicator.receive_from(timeout=30)
        assert "&lt;b&gt;안녕&lt;/b&gt;" in turn
        assert '<p dir="auto"><strong>hi</strong></p>' in turn
        thinking = await client.communicator.receive_from(timeout=30)
        assert "생각하는 중" in thinking


async def test_opening_a_page_takes_four_queries_at_most(conversation: Any, user: Any) -> None:
    """Beyond session and user; in whichever threads they are made."""
    await conversation.arecord_turn("a", AIMessage("b"), user=user)
    await conversation.astart_turn("open", user=user)
    del user._turnlog_actor_id
    with traced() as trace:
        async with Client(chat(), url(conversation), user) as client:
            await client.until(lambda f: f.get("type") == "turn" and f["outcome"] == "open")
    assert 3 <= len(trace.statements) <= 4, "\n\n".join(trace.statements)


async def test_a_turn_takes_few_statements_and_hops(conversation: Any, user: Any) -> None:
    """Beyond session and user at most 13 statements; at most 4 hops; no connection opened."""
    async with Client(chat(["hello"], ["there"]), url(conversation), user) as client:
        await client.until(lambda f: f.get("type") == "hello")
        await client.send(user_text="first")  # Opens connections, and stores the system prompt.
        await client.until_ended()
        with traced() as trace:
            await client.send(user_text="second")
            await client.until_ended()
            await asyncio.sleep(0)
    statements = trace.beyond_session_and_user()
    assert len(statements) <= 13, statements
    assert len(trace.hops) <= 4, trace.hops
    assert trace.opened == 0
    inserts = [sql for sql in statements if "INSERT INTO turnlog_event" in sql]
    assert len(inserts) == 2, statements  # The start, and the completion.
    if connection.vendor == "postgresql":
        # The completion is one statement: all else was known since the start.
        after = statements[statements.index(inserts[1]) + 1 :]
        assert [sql for sql in after if "NOTIFY" not in sql] == []
