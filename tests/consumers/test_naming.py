"""A conversation is named after its first exchange, and a person's own name stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from tests.project.models_for_tests import ScriptedModel
from turnlog.consumers.answering import tasks
from turnlog.consumers.answering.naming import LONGEST, PROMPT, as_title
from turnlog.core import codec
from turnlog.events import changes
from turnlog.events.models import Conversation, Event
from turnlog.events.prompt import Prompt

from .test_socket import Chat, Client

transactional = pytest.mark.django_db(transaction=True)


def chat(way: str, *replies: Any) -> type[Chat]:
    class Named(Chat):
        name_conversations = way
        model = ScriptedModel(replies=[list(reply) for reply in replies])

    return Named


async def named(
    consumer: type[Chat], conversation: Conversation, *said: str, by: Any = None
) -> str:
    """Say something as the owner, or `by` another; the title once all beside the turns is done."""
    who = by or conversation.user
    client = Client(consumer, f"/ws/chat/{conversation.pk}/?format=json", who)
    async with client:
        for text in said:
            await client.say(text)
            while pending := {*tasks.turns, *tasks.naming}:
                await asyncio.wait(pending, timeout=60)
    return (await Conversation.objects.aget(pk=conversation.pk)).title


@pytest.fixture
def room(user: Any) -> Conversation:
    return Conversation.objects.create(user=user)


@transactional
async def test_by_the_first_words(room: Conversation) -> None:
    consumer = chat("words", ["Hi!"], ["Yes."])
    assert await named(consumer, room, "\n# What is *this*? \nmore", "second") == "What is *this*?"
    types = [e.type async for e in Event.objects.filter(stream_id=room.pk).order_by("version")]
    assert types.count("TitleChanged") == 1


@transactional
async def test_by_the_model(room: Conversation) -> None:
    consumer = chat("model", ["It is ", "42."], ['"The an', 'swer"\nand more'])
    assert await named(consumer, room, "What is it?") == "The answer"
    asked = consumer.model.seen[-1]
    assert asked[0].content == PROMPT
    assert asked[1].content == "What is it?\n\n---\n\nIt is 42."


@transactional
async def test_a_model_that_fails_leaves_no_name_and_the_next_turn_tries(
    room: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "sk-secret"
    consumer = chat("model", ["One."], [RuntimeError(secret)], ["Two."], ["A name"])
    assert await named(consumer, room, "one?") == ""
    assert "could not be named" in caplog.text
    assert secret not in caplog.text
    assert await named(consumer, room, "two?") == "A name"


@transactional
@pytest.mark.parametrize("given_first", [True, False])
async def test_a_persons_own_name_stays(user: Any, given_first: bool) -> None:
    title = "Mine" if given_first else ""
    room = await Conversation.objects.acreate(user=user, title=title)
    if not given_first:  # Given, and taken away again.
        for title in ("Mine", ""):
            room.title = title
            await sync_to_async(room.save)()
    assert await named(chat("words", ["Hi!"]), room, "What is it?") == title


def open_to_all() -> type[Chat]:
    async def can_accept(chat: Chat) -> bool:
        return True

    return type("Open", (chat("words", *[["Yes."]] * 5),), {"can_accept": can_accept})


@transactional
async def test_only_the_owners_words_are_a_name_in_the_owners_list(
    room: Conversation, django_user_model: Any
) -> None:
    other = await sync_to_async(django_user_model.objects.create_user)("grace")
    consumer, said = open_to_all(), ("I am ill.", "And you?", "Well?", "Hello?")
    assert await named(consumer, room, *said, by=other) == ""
    assert await named(consumer, room, "What is it?") == "What is it?"


@transactional
async def test_of_a_conversation_that_nobody_owns_a_guests_words_are(user: Any) -> None:
    room, consumer = await Conversation.objects.acreate(), open_to_all()
    assert await named(consumer, room, "I am ill.", by=user) == ""
    assert await named(consumer, room, "Two, please.", by=AnonymousUser()) == "Two, please."


@transactional
async def test_an_unknown_way_is_a_sentence_in_the_log(
    room: Conversation, caplog: pytest.LogCaptureFixture
) -> None:
    assert await named(chat("modle", ["Hi!"]), room, "What?") == ""
    assert "name_conversations must be one of '', 'words', 'model', found 'modle'" in caplog.text


@pytest.mark.slow_once
@given(st.text(max_size=300))
def test_a_title_is_one_short_line_of_the_text(text: str) -> None:
    title = as_title(text)
    assert len(title) <= LONGEST
    assert title == " ".join(title.split())
    body = title.removesuffix("…")
    assert body in " ".join(text.encode("utf-8", "replace").decode().split()) or "\ufffd" in title


# Erasure


@pytest.mark.django_db
@pytest.mark.parametrize("which", ["the turn", "one that it may quote", "everything"])
def test_a_title_goes_with_the_words_that_it_was_made_from(
    room: Conversation, user: Any, which: str
) -> None:
    *_, earlier = room.record_turn("An earlier one", "Answer", user=user)
    given = {"messages": [codec.encode(AIMessage("what a project made of it"))]}
    turn = room.start_turn("Mine", user=user, prompt=Prompt("m", {}, "", previous=given)).turn_id
    room.record_turn("Mine", "Answer", user=user, turn_id=turn)
    assert changes.name(room.pk, "Secret", turn_id=turn)
    fork = room.fork(user=user)
    room.record_turn("Later", "Answer", user=user)
    asked = {"the turn": [turn], "one that it may quote": [earlier.turn_id], "everything": None}
    receipt = room.erase(asked[which], by=user, reason="test")
    assert receipt.title
    for each in (room, fork):
        each.refresh_from_db()
        assert each.title == ""
        payloads = Event.objects.filter(stream_id=each.pk, payload__contains="Secret")
        assert not payloads.exists()
    assert not changes.name(room.pk, "Secret", turn_id=turn)


@pytest.mark.django_db
def test_a_title_stays_when_other_words_go(room: Conversation, user: Any) -> None:
    room.record_turn("One", "Answer", user=user)
    first = Event.objects.filter(stream_id=room.pk).latest("version").turn_id
    assert first is not None
    assert changes.name(room.pk, "First", turn_id=first)
    room.record_turn("Two", "Answer", user=user)
    second = Event.objects.filter(stream_id=room.pk).latest("version").turn_id
    assert second is not None
    assert not room.erase([second], by=user, reason="test").title
    room.refresh_from_db()
    assert room.title == "First"
