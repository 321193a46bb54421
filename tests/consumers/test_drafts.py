"""What a turn had produced when its process died is in the log."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from langchain_core.messages import AIMessage

from tests.consumers.test_socket import Client, chat, get_stored, said, url
from tests.everywhere import places_of
from tests.project.models_for_tests import tool_call
from turnlog.consumers.answering import drafting
from turnlog.core import codec
from turnlog.events import drafts, runners
from turnlog.events.models import Conversation, Draft, Event, Runner
from turnlog.events.turns import close_abandoned

pytestmark = pytest.mark.django_db(transaction=True)


def begun(conversation: Conversation, user: Any) -> uuid.UUID:
    """A turn of a process that is gone, as far as it came."""
    turn = conversation.start_turn("hello", user=user)
    call = {"name": "look", "args": {}, "id": "call-1"}
    output = {"tool": "look", "tool_call_id": "call-1", "output": {1, 2}}
    drafts.keep(conversation.pk, turn.turn_id, 0, "Let me ", [], [AIMessage("", tool_calls=[call])])
    drafts.keep(conversation.pk, turn.turn_id, 1, "see\ud83d.", [output])
    runners._runner_id.cache_clear()
    return turn.turn_id


@pytest.mark.parametrize("closed_by", ["the next turn", "a visitor"])
def test_an_interrupted_turn_keeps_what_it_had_produced(
    conversation: Conversation, user: Any, closed_by: str
) -> None:
    turn_id = begun(conversation, user)
    Runner.objects.all().delete()
    if closed_by == "a visitor":
        [closed] = close_abandoned(conversation.pk)
    else:
        conversation.start_turn("again", user=user)
        [closed] = conversation_events(conversation, turn_id)[1:]
    assert closed.data.outcome == "interrupted"
    produced = closed.data.produced
    assert codec.decode(produced["message"]).content == "Let me see\ud83d."
    assert [tool["tool"] for tool in produced["tools"]] == ["look"]
    assert len(produced["rounds"]) == 1
    assert not Draft.objects.exists()


def conversation_events(conversation: Conversation, turn_id: uuid.UUID) -> list[Any]:
    return [*Event.objects.filter(stream_id=conversation.pk, turn_id=turn_id).order_by("version")]


async def test_a_running_turn_is_kept_and_dropped_when_it_has_ended(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafting, "INTERVAL_SECONDS", 0.001)
    gate = asyncio.Event()
    consumer = chat(["half", "rest"], gates={1: gate})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await client.until(lambda frame: frame.get("content") == "half")
        while not await Draft.objects.aexists():
            await asyncio.sleep(0)
        gate.set()
        assert said(await client.until_ended()) == "rest"
        while await Draft.objects.aexists():
            await asyncio.sleep(0)


async def test_a_short_turn_writes_no_draft(conversation: Any, user: Any) -> None:
    consumer = chat(["fine"])
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await client.until_ended()
    assert not await Draft.objects.aexists()


def test_a_new_process_drops_what_another_left_behind(
    conversation: Conversation, user: Any
) -> None:
    open_id = begun(Conversation.objects.create(user=user), user)
    turn_id = begun(conversation, user)
    conversation.fail_turn(turn_id, "failed")
    runners.beat()
    assert {draft.turn_id for draft in Draft.objects.all()} == {open_id}


def test_an_erasure_takes_drafts_along(conversation: Conversation, user: Any) -> None:
    word = f"quokka{uuid.uuid4().hex}"
    turn = conversation.start_turn(word, user=user)
    drafts.keep(conversation.pk, turn.turn_id, 0, word)
    conversation.fail_turn(turn.turn_id, "failed")
    conversation.erase(reason="request 7")
    assert places_of(word) == []


async def test_a_draft_that_cannot_be_kept_does_not_end_the_turn(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafting, "INTERVAL_SECONDS", 0.001)
    tried = asyncio.Event()

    async def fail(*args: Any) -> None:
        tried.set()
        raise ValueError("no")

    monkeypatch.setattr(drafting, "_keep", fail)
    gate = asyncio.Event()
    consumer = chat(["half", "rest"], [tool_call("double", {"number": 1})], gates={1: gate})
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello")
        await tried.wait()
        gate.set()
        assert said(await client.until_ended()) == "halfrest"
    assert [e.type for e in await get_stored(conversation)][-1] == "MessageAppended"
    assert await sync_to_async(Draft.objects.count)() == 0
