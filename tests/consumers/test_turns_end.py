"""A turn always ends, whatever cannot be recorded, and the conversation goes on."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DataError, IntegrityError, InternalError, OperationalError, ProgrammingError
from django.utils.translation import gettext_lazy
from langchain_core.messages import AIMessageChunk
from pydantic import BaseModel

from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols.server import ENDLESS, answering
from tests.consumers.test_socket import Client, chat, get_stored, said, url
from turnlog.consumers.answering import closing, running, tasks
from turnlog.consumers.mixins.agent import AgentMixin, CurrentTurn
from turnlog.core import retrying
from turnlog.core.faults import is_passing
from turnlog.events import runners, turns
from turnlog.events.models import Conversation, Event, Runner
from turnlog.events.waiting import open_turn

pytestmark = pytest.mark.django_db(transaction=True)


class Weather(BaseModel):
    city: str
    degrees: int


class Ours:
    """Of a class that the log cannot keep."""


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic's, of the client's own model
async def test_structured_output_is_recorded_without_the_object(
    conversation: Any, user: Any
) -> None:
    def make(address: str) -> Any:
        return chats.completions(address).bind(response_format=Weather)

    words = '{"city": "Seoul", "degrees": 7}'
    whole = [c.chunk({"role": "assistant", "content": words}), c.chunk({}, "stop"), c.DONE]
    async with answering(whole) as model:
        answered = await chats.ask(chats.chat(make, model.url), conversation, user, "Rain?", "And?")
    assert (answered.outcome, answered.shown) == ("completed", words)


def unstorable() -> Any:
    return AIMessageChunk("words", additional_kwargs={"ours": Ours()})


HOOKS: dict[str, Any] = {
    "an error": ValueError("always"),
    "the end of the process": SystemExit(3),
    "its own cancellation": asyncio.CancelledError(),
    "another database's trouble": OperationalError("the other database is away"),
    "a wrong statement": ProgrammingError("no such column"),
}


@pytest.mark.parametrize("what", HOOKS)
async def test_a_hook_that_raises_for_good(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(retrying, "RECORDING", retrying.Backoff(0.001, 0.001))

    async def fail(self: Any, *args: Any, **kwargs: Any) -> None:
        raise HOOKS[what]

    consumer = chat(["one"], ["two"], on_conversation_complete=fail)
    async with Client(consumer, url(conversation), user) as client:
        for words in ("one", "two"):
            await client.send(user_text="hello")
            frames = await client.until_ended()
            assert frames[-1]["outcome"] == "failed"
            assert frames[-1]["error"].startswith("The answer could not be recorded.")
            assert said(frames) == words
    failed = (await get_stored(conversation))[-1].data
    assert failed.produced["message"]["_value"]["content"] == "two"  # type: ignore[union-attr]


@pytest.mark.parametrize("recorded", [True, False])
async def test_an_event_loop_that_ends_while_a_turn_is_recorded(
    conversation: Any, user: Any, caplog: pytest.LogCaptureFixture, recorded: bool
) -> None:
    """As after a project's test: what is in the log is not reported as lost."""

    async def record(self: Any, *args: Any, **kwargs: Any) -> None:
        if recorded:
            await AgentMixin.on_conversation_complete(self, *args, **kwargs)
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(0)

    consumer = chat(["words"], on_conversation_complete=record)
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
        await asyncio.gather(*tasks.turns)
    assert frames[-1]["outcome"] == ("completed" if recorded else "failed")
    assert ("could not be recorded" in caplog.text) is not recorded


async def test_a_hook_that_never_ends(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "HOOK_SECONDS", 0.05)
    go_on = asyncio.Event()

    async def wait(self: Any, *args: Any, **kwargs: Any) -> None:
        await go_on.wait()

    consumer = chat(["words"], on_conversation_complete=wait)
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    go_on.set()
    assert frames[-1]["outcome"] == "failed"
    assert await sync_to_async(open_turn)(conversation.pk) is None


@pytest.mark.parametrize("hooks", [False, True])
async def test_what_can_be_kept_of_an_answer_is_kept(
    conversation: Any, user: Any, hooks: bool
) -> None:
    async def strict(self: Any, human: Any, ai: Any, outputs: Any = None) -> None:
        room = await self.aget_conversation()
        turn_id = self.current_turn.turn_id
        await room.arecord_turn(human, f"redacted {ai.text}", outputs, turn_id=turn_id)

    more = {"on_conversation_complete": strict} if hooks else {}
    consumer = chat([unstorable()], ["next"], **more)
    async with Client(consumer, url(conversation), user) as client:
        for expected in ("words", "next"):
            await client.send(user_text="hello")
            frames = await client.until_ended()
            assert frames[-1]["outcome"] == "completed"
            assert expected in said(frames)
    assert all("Ours" not in (e.payload or "") for e in await get_stored(conversation))


@pytest.mark.parametrize("error", [DataError, IntegrityError, ProgrammingError])
async def test_a_database_that_refuses_what_was_asked(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise error("about what was asked")

    monkeypatch.setattr(turns, "record", refuse)
    consumer = chat(["one"])
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "failed"
    failed = (await get_stored(conversation))[-1].data
    assert failed.error["kind"] == "database"  # type: ignore[union-attr,index]


async def test_a_turn_that_cannot_be_closed_now_is_closed_later(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, real = [], turns.fail

    def refuse(*args: Any, **kwargs: Any) -> Any:
        tried.append(args)
        if len(tried) <= 4:
            raise ProgrammingError("permission denied")
        return real(*args, **kwargs)

    monkeypatch.setattr(turns, "fail", refuse)
    consumer = chat([ValueError("no")], ["fine"])
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
        assert frames[-1]["outcome"] == "failed"
        await tasks._once[closing._close_left]
        await client.send(user_text="again")
        assert said(await client.until_ended()) == "fine"
    assert len(tried) == 5


def lose_the_reply(monkeypatch: pytest.MonkeyPatch, times: int) -> list[Any]:
    """Let the first starts be committed, and their replies be lost."""
    lost: list[Any] = []
    real: Callable[..., Any] = turns.start

    def start(*args: Any, **kwargs: Any) -> Any:
        turn = real(*args, **kwargs)
        if len(lost) < times:
            lost.append(turn)
            raise OperationalError("server closed the connection unexpectedly")
        return turn

    monkeypatch.setattr(turns, "start", start)
    return lost


async def test_a_start_whose_reply_is_lost_is_answered(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_reply(monkeypatch, 1)
    consumer = chat(["fine"])
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        assert said(await client.until_ended()) == "fine"
    types = [event.type for event in await get_stored(conversation)]
    assert types.count("TurnStarted") == 1
    assert "TurnFailed" not in types
    [given] = consumer.model.seen
    assert [message.content for message in given] == ["You are a tutor.", "hello"]


async def test_a_start_that_stays_lost_is_closed_and_gives_the_words_back(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "STARTING", retrying.Backoff(0.001, 0.001, 0.002))
    lost = lose_the_reply(monkeypatch, 10)
    consumer = chat(["never"])
    turn_id = str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=turn_id)
        frames = await client.until(lambda f: f.get("refused_turn_id") == turn_id)
        await client.until_ended()
    assert frames[-1]["type"] == "notice"
    assert len(lost) >= 2
    assert await sync_to_async(open_turn)(conversation.pk) is None


async def test_a_turn_that_is_taken_while_it_is_closed_is_looked_at_again(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FOLLOWING", retrying.Backoff(0.001, 0.001))
    turn = await conversation.astart_turn("hello", user=user)
    sent = closing.sent_to(conversation, turn.turn_id)
    settled: list[bool] = []
    real = closing._close_if_ours

    async def close(*args: Any) -> bool:
        if args[1] != sent:  # One that an earlier test has left.
            return bool(await real(*args))
        with contextlib.ExitStack() as taken:
            if not settled:
                taken.enter_context(closing.taken(sent))
            settled.append(await real(*args))
        return settled[-1]

    monkeypatch.setattr(closing, "_close_if_ours", close)
    closing.close_later(conversation, turn.turn_id, None)
    await asyncio.wait([tasks._once[closing._close_left]])
    assert settled == [False, True]
    assert await sync_to_async(open_turn)(conversation.pk) is None


async def test_a_turn_that_another_process_answers_is_not_closed(
    conversation: Any, user: Any
) -> None:
    turn = await conversation.astart_turn("hello", user=user)
    sent = closing.sent_to(conversation, turn.turn_id)
    # Before anything is closed later: from here on it is the turn of another process.
    await sync_to_async(_change_runner)()
    closing.close_later(conversation, turn.turn_id, None)
    await closing._close_if_ours(conversation, sent, None)
    assert await sync_to_async(open_turn)(conversation.pk) is not None
    closing._left.clear()


async def test_words_that_are_sent_again_after_a_lost_start_are_not_left_open(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "STARTING", retrying.Backoff(0.001, 0.001, 0.002))
    monkeypatch.setattr(retrying, "FOLLOWING", retrying.Backoff(0.001, 0.001))
    lose_the_reply(monkeypatch, 5)
    consumer = chat(["fine"], ["fine"])
    turn_id = str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        for _ in range(3):  # As a page does that has lost its connection.
            await client.send(user_text="hello", turn_id=turn_id)
        await client.until_ended()
        await client.send(user_text="again")
        assert said(await client.until_ended()) == "fine"


async def test_a_second_stop_does_not_leave_the_turn_open(conversation: Any, user: Any) -> None:
    consumer = chat(["words", unstorable()], gates={2: asyncio.Event()})
    consumer.model.replies[0].append("never")
    turn_id = str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=turn_id)
        await client.until(lambda frame: "words" in frame.get("content", ""))
        for _ in range(3):
            await client.send(type="stop", turn_id=turn_id)
        frames = await client.until_ended()
    assert frames[-1]["outcome"] == "cancelled"
    assert await sync_to_async(open_turn)(conversation.pk) is None


def _change_runner() -> None:
    runners._runner_id.cache_clear()


@pytest.mark.parametrize("recorded", [True, False])
async def test_two_sendings_of_one_turn_at_once_are_one_turn(
    conversation: Any, user: Any, recorded: bool
) -> None:
    gate = asyncio.Event()
    consumer = chat(["o", "ne"], gates={1: gate})
    address = url(conversation) if recorded else "/ws/chat/?format=json"
    turn_id = str(uuid.uuid4())
    async with Client(consumer, address, user) as client:
        for _ in range(3):
            await client.send(user_text="hello", turn_id=turn_id)
        await client.until(lambda frame: frame.get("content") == "o")
        gate.set()
        frames = await client.until_ended()
    assert not [frame for frame in frames if frame.get("type") == "notice"]
    assert len(consumer.model.seen) == 1


async def test_each_hook_has_its_own_turn() -> None:
    class Chat(AgentMixin):
        pass

    one, other = Chat(), Chat()
    both_turns = [CurrentTurn(uuid.uuid4(), {}) for _ in range(2)]
    both = asyncio.Barrier(2)

    async def hook(turn: CurrentTurn) -> CurrentTurn | None:
        one.current_turn = turn
        await both.wait()
        return one.current_turn

    assert await asyncio.gather(*map(hook, both_turns)) == both_turns
    assert one.current_turn is None
    one.current_turn = both_turns[0]
    assert other.current_turn is None


async def test_the_models_stream_is_closed_when_the_turn_is_stopped(
    conversation: Any, user: Any
) -> None:
    async with answering([c.chunk({"content": "half"}), ENDLESS]) as model:
        consumer = chats.chat(chats.completions, model.url)
        async with Client(consumer, url(conversation), user) as client:
            await client.send(user_text="hello", turn_id=(turn_id := str(uuid.uuid4())))
            await client.until(lambda frame: frame.get("content") == "half")
            await client.send(type="stop", turn_id=turn_id)
            await client.until_ended()
            await asyncio.wait_for(model.gone.wait(), 10)


async def test_the_models_stream_is_closed_when_showing_it_fails(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise ValueError("cannot be shown")

    monkeypatch.setattr(running.RunningTurn, "hear", fail)
    async with answering([c.chunk({"content": "half"}), ENDLESS]) as model:
        consumer = chats.chat(chats.completions, model.url)
        async with Client(consumer, url(conversation), user) as client:
            await client.send(user_text="hello")
            frames = await client.until_ended()
            assert frames[-1]["outcome"] == "failed"
            await asyncio.wait_for(model.gone.wait(), 10)


async def test_clearing_stops_a_turn_that_nobody_follows(conversation: Any, user: Any) -> None:
    consumer = chat(["half", "never"], gates={1: asyncio.Event()})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await client.until(lambda frame: frame.get("content") == "half")
    await conversation.aclear(by=user)
    await asyncio.wait_for(asyncio.gather(*tasks.turns, return_exceptions=True), 10)
    assert await sync_to_async(open_turn)(conversation.pk) is None


async def test_the_heartbeat_goes_on_whatever_happens(
    user: Any, conversation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[str] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def beat() -> None:
        beats.append("beat")
        if len(beats) == 3:
            loop.call_soon_threadsafe(enough.set)
        raise RuntimeError("couldn't get a connection")

    monkeypatch.setattr(runners, "heartbeat_seconds", lambda: 0.001)
    gate = asyncio.Event()
    consumer = chat(["half", "rest"], gates={1: gate})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await client.until(lambda frame: frame.get("content") == "half")
        monkeypatch.setattr(runners, "beat", beat)
        await asyncio.wait_for(enough.wait(), 10)
        monkeypatch.undo()
        gate.set()
        await client.until_ended()


def test_several_heartbeats_fit_into_what_others_wait(settings: Any) -> None:
    for timeout in (1, 5, 20, 100):
        settings.TURNLOG = {"RUNNER_TIMEOUT": timeout}
        assert 3 * runners.heartbeat_seconds() < timeout


async def test_500_first_turns(user: Any) -> None:
    """25 people at once, and the process is always new."""
    rooms = [await Conversation.objects.acreate(user=user) for _ in range(25)]
    for _ in range(20):
        await sync_to_async(Runner.objects.all().delete)()
        runners._runner_id.cache_clear()

        async def take(room: Conversation) -> None:
            turn = await room.astart_turn("hello", user=user)
            await room.arecord_turn("hello", "hi", user=user, turn_id=turn.turn_id)

        await asyncio.gather(*map(take, rooms))
    count = await Event.objects.filter(type="TurnStarted").acount()
    assert count == 500


PASSING = {
    "25006": InternalError,
    "08006": OperationalError,
    "40001": OperationalError,
    "57P01": OperationalError,
}


@pytest.mark.parametrize("state", PASSING)
def test_one_judge_says_what_is_tried_again(state: str) -> None:
    error = PASSING[state]("x")
    error.__cause__ = type("Cause", (Exception,), {"sqlstate": state})()
    assert is_passing(error)


@pytest.mark.parametrize("error", [DataError("x"), ProgrammingError("x"), ValueError("x")])
def test_what_is_about_what_was_asked_is_not_tried_again(error: Exception) -> None:
    assert not is_passing(error)


async def test_a_lost_start_that_is_sent_again_is_answered(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has been away for longer than the first sending waits."""
    monkeypatch.setattr(retrying, "STARTING", retrying.Backoff(0.001, 0.001, 0.002))
    monkeypatch.setattr(retrying, "FOLLOWING", retrying.Backoff(60, 60))
    away = asyncio.Event()
    real = closing._close_if_ours

    async def close_if_ours(*args: Any) -> None:
        if not away.is_set():
            raise OperationalError("the database is away")
        await real(*args)

    monkeypatch.setattr(closing, "_close_if_ours", close_if_ours)
    lost = lose_the_reply(monkeypatch, 3)
    consumer = chat(["fine"])
    turn_id = str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=turn_id)
        await client.until(lambda f: f.get("refused_turn_id") == turn_id)
        lost += [None] * 3
        await client.send(user_text="hello", turn_id=turn_id)
        assert said(await client.until_ended()) == "fine"
    assert closing._left == {}
    types = [event.type for event in await get_stored(conversation)]
    assert types.count("TurnStarted") == 1
    assert "TurnFailed" not in types


async def test_a_part_that_raises_while_it_is_stored_does_not_leave_the_turn_open(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(closing, "storable", fail)
    monkeypatch.setattr(turns, "record", fail)
    async with Client(chat(["words"]), url(conversation), user) as client:
        await client.send(user_text="hello")
        frames = await client.until_ended()
    assert (frames[-1]["outcome"], said(frames)) == ("failed", "words")
    assert await sync_to_async(open_turn)(conversation.pk) is None


@pytest.mark.parametrize("prompt", [None, gettext_lazy("Sprich über Kaffee – é"), "half \ud83d"])
async def test_any_system_prompt(conversation: Any, user: Any, prompt: Any) -> None:
    async def system_prompt(self: Any, **kwargs: Any) -> Any:
        return prompt

    consumer = chat(["fine"], aget_llm_system_prompt=system_prompt)
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        assert (await client.until_ended())[-1]["outcome"] == "completed"
