"""Clients choose the identifiers of turns: one that is used twice harms nobody but its sender."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.consumers.test_limits import no_turns, rooms
from tests.consumers.test_socket import Client, chat, get_stored, said, url
from turnlog.consumers.answering import closing, starting, tasks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def another(django_user_model: Any) -> Any:
    return django_user_model.objects.create_user("bob")


async def starts_of(conversation: Any) -> int:
    return [event.type for event in await get_stored(conversation)].count("TurnStarted")


async def test_on_two_sockets_of_one_person_it_is_one_turn(conversation: Any, user: Any) -> None:
    consumer, turn_id = chat(["ok"], ["twice"]), str(uuid.uuid4())
    async with (
        Client(consumer, url(conversation), user) as one,
        Client(consumer, url(conversation), user) as two,
    ):
        for client in (one, two):
            await client.send(user_text="hello", turn_id=turn_id)
        for client in (one, two):
            assert said(await client.until_ended()) == "ok"
    await no_turns()
    assert await starts_of(conversation) == 1


async def test_whoever_sends_it_again_is_told_at_any_moment(conversation: Any, user: Any) -> None:
    """Also when its end has been told already and its task goes on for a moment."""
    gate, turn_id = asyncio.Event(), str(uuid.uuid4())
    consumer = chat(["ok, ", "Ada"], gates={1: gate})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=turn_id)
        await client.until(lambda frame: frame.get("role") == "assistant")
        await client.send(user_text="hello", turn_id=turn_id)
        await client.send(type="ping")
        await client.until(lambda frame: frame.get("type") == "pong")
        gate.set()
        # Which of the two comes first is open.
        wanted = [{"type": "known", "turn_id": turn_id}, {"id": turn_id, "outcome": "completed"}]
        while wanted:
            frame = await client.frame()
            wanted = [each for each in wanted if not each.items() <= frame.items()]
    assert await starts_of(conversation) == 1


async def test_another_person_does_not_get_it(user: Any, another: Any) -> None:
    """Nor do they see a word of it, or stop it."""
    [room] = await rooms(1)
    gate, turn_id = asyncio.Event(), str(uuid.uuid4())
    consumer = chat(["ok, ", "Ada"], gates={1: gate})
    async with (
        Client(consumer, url(room), user) as ada,
        Client(consumer, url(room), another) as bob,
    ):
        await ada.send(user_text="hello", turn_id=turn_id)
        await ada.until(lambda frame: frame.get("role") == "assistant")
        await bob.send(type="stop", turn_id=turn_id)
        await bob.send(user_text="mine", turn_id=turn_id)
        heard = await bob.until(lambda frame: frame.get("type") == "notice")
        assert heard[-1]["refused_turn_id"] == turn_id
        gate.set()
        frames = await ada.until_ended()
        assert "Ada" in said(frames)
        assert frames[-1]["outcome"] == "completed"
        await bob.send(type="ping")
        heard += await bob.until(lambda frame: frame.get("type") == "pong")
    assert "Ada" not in str(heard)
    assert await starts_of(room) == 1


async def test_in_two_conversations_it_is_two_turns_and_neither_waits(
    user: Any, another: Any
) -> None:
    first, second = await rooms(2)
    turn_id, asked, go_on = str(uuid.uuid4()), asyncio.Event(), asyncio.Event()

    async def slowly(self: Any) -> str:
        asked.set()
        await go_on.wait()
        return ""

    slow = chat(["slow"], aget_llm_system_prompt=slowly)
    async with (
        Client(slow, url(first), user) as one,
        Client(chat(["quick"]), url(second), another) as two,
    ):
        await one.send(user_text="hello", turn_id=turn_id)
        await asked.wait()
        await two.send(user_text="hello", turn_id=turn_id)
        assert said(await two.until_ended()) == "quick"
        go_on.set()
        assert said(await one.until_ended()) == "slow"
    await no_turns()
    assert (await starts_of(first), await starts_of(second)) == (1, 1)
    assert not starting._sending
    assert not closing._taken


async def test_both_are_closed_where_they_were_left_open(user: Any) -> None:
    both, turn_id = await rooms(2), uuid.uuid4()
    for room in both:
        await room.astart_turn("hello", user=user, turn_id=turn_id)
    for room in both:
        closing.close_later(room, turn_id, None)
    while closing._left:
        await asyncio.wait(tasks.beside)
    assert [(await get_stored(room))[-1].type for room in both] == ["TurnFailed"] * 2
