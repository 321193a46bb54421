"""Older turns are summarised; the log says what the model was given then, and loses nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from tests.consumers.test_limits import no_turns
from tests.consumers.test_previous_messages import ask, require_prompt_is_what_was_seen
from tests.consumers.test_socket import chat, get_stored
from turnlog.consumers.answering import summarising
from turnlog.consumers.answering.summarising import SUMMARY
from turnlog.consumers.mixins.given import ruled
from turnlog.core import codec
from turnlog.events import summaries
from turnlog.events.erasure.forgetting import forget_user
from turnlog.events.log import read
from turnlog.events.models import Conversation
from turnlog.events.prompt import Prompt
from turnlog.events.tables.actor import Actor
from turnlog.projections import HistoryRule
from turnlog.projections.travel.moments import as_of

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "word " * 120


class Failing(GenericFakeChatModel):
    """A model that is away."""

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("it is away")


def chat_of(*answers: str, model: Any = None, **attributes: Any) -> Any:
    said = iter([AIMessage("Ada asked for a latte."), AIMessage("Ada asked twice.")])
    consumer = chat(*[[answer] for answer in answers])
    consumer.summarize_after_tokens = 200
    consumer.summary_model = model or GenericFakeChatModel(messages=said)
    for name, value in attributes.items():
        setattr(consumer, name, value)
    return consumer


async def settle() -> None:
    """Wait for what runs beside turns, such as a summary."""
    await no_turns()
    while summarising.under_way:
        await asyncio.wait([*summarising.under_way.values()])


async def talk(consumer: Any, conversation: Any, user: Any, *texts: str) -> None:
    for text in texts:
        assert await ask(consumer, conversation, user, text) == ["completed"]
        await settle()


async def summaries_in(conversation: Any) -> list[Any]:
    events = await get_stored(conversation)
    return [event for event in events if event.type == "HistorySummarized"]


async def test_later_turns_are_given_the_summary_and_what_came_after(
    conversation: Any, user: Any
) -> None:
    consumer = chat_of("one " + LONG, "two " + LONG, "three", "four")
    await talk(consumer, conversation, user, "a", "b")
    [summary] = await summaries_in(conversation)
    assert summary.turn_id is None
    await talk(consumer, conversation, user, "c")
    _, first, *rest = consumer.model.seen[-1]
    assert first.content == f"{SUMMARY}\n\nAda asked for a latte."
    assert [message.content for message in rest] == ["b", "two " + LONG, "c"]
    shown = await require_prompt_is_what_was_seen(consumer, conversation)
    assert shown.messages[1].content == first.content
    # The entries that it covers are still in the message list.
    assert len(await sync_to_async(lambda: as_of(conversation).messages)()) == 6


async def test_a_summary_that_fails_fails_no_turn(conversation: Any, user: Any) -> None:
    consumer = chat_of("one " + LONG, "two " + LONG, "three", model=Failing(messages=iter([])))
    await talk(consumer, conversation, user, "a", "b", "c")
    assert await summaries_in(conversation) == []
    assert len(consumer.model.seen[-1]) == 6


async def test_erasing_what_it_covers_erases_it_and_the_prompt_falls_back(
    conversation: Any, user: Any
) -> None:
    consumer = chat_of("one " + LONG, "two " + LONG, "three")
    await talk(consumer, conversation, user, "a", "b")
    events = await get_stored(conversation)
    receipt = await conversation.aerase([events[1].turn_id], reason="request 7")
    assert "HistorySummarized" in [event.type for event in receipt.events]
    consumer.summarize_after_tokens = 10_000
    await talk(consumer, conversation, user, "c")
    assert [message.content for message in consumer.model.seen[-1][1:]] == ["b", "two " + LONG, "c"]
    await require_prompt_is_what_was_seen(consumer, conversation)


async def test_clearing_ends_it_and_a_fork_has_the_turns_themselves(
    conversation: Any, user: Any
) -> None:
    consumer = chat_of("one " + LONG, "two " + LONG, "three", "four")
    await talk(consumer, conversation, user, "a", "b")
    fork = await conversation.afork(user=user)
    await conversation.aclear()
    consumer.summarize_after_tokens = 10_000
    await talk(consumer, conversation, user, "c")
    assert [message.content for message in consumer.model.seen[-1][1:]] == ["c"]
    await talk(consumer, fork, user, "d")
    assert len(consumer.model.seen[-1]) == 6
    assert await summaries_in(fork) == []


class Reading(GenericFakeChatModel):
    """A model that keeps what it was given, and whose summaries say only which one it is."""

    read: list[str] = []
    meanwhile: Any = None

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.read.append(messages[-1].content)
        if self.meanwhile is not None:
            await self.meanwhile()
        message = AIMessage(f"Summary {len(self.read)}.")
        return ChatResult(generations=[ChatGeneration(message=message)])


async def test_a_conversation_with_an_erased_turn_in_the_middle_is_summarised(
    conversation: Any, user: Any
) -> None:
    consumer = chat_of("one", "two", "three " + LONG, "four " + LONG)
    await talk(consumer, conversation, user, "a", "b", "c")
    events = await get_stored(conversation)
    second = next(event for event in events if (event.payload or "").find('"two"') > 0)
    await conversation.aerase([second.turn_id], reason="request 7")
    assert await summaries_in(conversation) == []
    await talk(consumer, conversation, user, "d")
    [summary] = await summaries_in(conversation)
    assert summary.data.since < second.version < summary.data.until


async def test_what_changes_meanwhile_is_not_summarised_and_the_servers_log_says_so(
    conversation: Any, user: Any, caplog: pytest.LogCaptureFixture
) -> None:
    left = asyncio.Event()

    async def clear() -> None:
        await left.wait()  # A client that is there might not see its turn's end.
        await conversation.aclear()

    model = Reading(messages=iter([]), meanwhile=clear)
    consumer = chat_of("one " + LONG, "two " + LONG, model=model)
    assert await ask(consumer, conversation, user, "a", "b") == ["completed"] * 2
    left.set()
    await settle()
    assert len(model.read) == 1
    assert await summaries_in(conversation) == []
    assert "it changed meanwhile" in caplog.text


async def test_a_very_long_conversation_is_summarised_part_by_part(
    conversation: Any, user: Any
) -> None:
    def say(number: int) -> None:
        conversation.record_turn(f"<{number}>", LONG, user=user)

    await sync_to_async(lambda: [say(number) for number in range(6)])()
    model = Reading(messages=iter([]))
    consumer = chat_of(*["." for _ in range(4)], model=model)
    await talk(consumer, conversation, user, *"abcd")
    said = "".join(model.read)
    assert [said.count(f"<{number}>") for number in range(6)] == [1] * 6
    assert max(map(len, model.read)) < 4 * len(LONG)
    assert "Summary 1." in model.read[1]


async def test_one_turn_that_is_longer_than_any_text_is_cut(conversation: Any, user: Any) -> None:
    model = Reading(messages=iter([]))
    consumer = chat_of("one " + 200 * LONG, "two", model=model)
    await talk(consumer, conversation, user, "a", "b")
    assert len(model.read[0]) < 40 * len(LONG)
    assert len(await summaries_in(conversation)) == 1


async def test_a_file_does_not_count_by_its_base64(conversation: Any, user: Any) -> None:
    pdf = {"type": "file", "base64": "A" * 2_000, "mime_type": "application/pdf"}
    asked = HumanMessage([{"type": "text", "text": "Read"}, pdf])
    await sync_to_async(conversation.record_turn)(asked, "Yes.", user=user)
    await sync_to_async(conversation.record_turn)("And?", "No.", user=user)
    consumer = chat_of("one", "two " + 2 * LONG, "three")
    await talk(consumer, conversation, user, "a")
    assert await summaries_in(conversation) == []
    await talk(consumer, conversation, user, "b")
    assert len(await summaries_in(conversation)) == 1
    await talk(consumer, conversation, user, "c")
    assert all(isinstance(message.content, str) for message in consumer.model.seen[-1])


@pytest.mark.django_db
def test_another_persons_erased_turn_is_none_of_a_summarys_business(user: Any) -> None:
    room = Conversation.objects.create()
    first = room.record_turn("a", "one", user=user)
    theirs = room.record_turn("b", "two")
    last = room.record_turn("c", "three", user=user)
    room.erase([theirs[0].turn_id], reason="request 7")
    versions = [event.version for event in [*first, *last] if event.type == "MessageAppended"]
    assert summaries.record(room.pk, "Both.", versions=versions, digest="0" * 64, user=user)


@pytest.mark.django_db
def test_a_summary_that_ends_after_its_person_was_forgotten_is_not_recorded(user: Any) -> None:
    room = Conversation.objects.create(user=user)
    room.record_turn("a", "one", user=user)
    versions = [entry.version for entry in as_of(room).entries]
    forget_user(user)
    record = partial(summaries.record, room.pk, "One.", versions=versions, digest="0" * 64)
    assert record(user=user) is None
    assert record(user=None) is None
    # Nor does it give them a new pseudonym.
    assert Actor.objects.known(user) is None


STEPS = st.lists(
    st.one_of(
        st.just("turn"),
        st.tuples(st.just("summarise"), st.integers(1, 5)),
        st.tuples(st.just("erase"), st.integers(0, 9)),
        st.just("clear"),
    ),
    max_size=12,
)


@pytest.mark.django_db
@given(STEPS, st.booleans())
@settings(max_examples=40)
def test_whatever_happens_the_model_is_given_each_turn_once_and_nothing_that_is_erased(
    steps: list[Any], tools: bool
) -> None:
    room = Conversation.objects.create()
    rule = HistoryRule(tools)
    turns: list[tuple[str, Any]] = []
    gone: list[str] = []
    for number, step in enumerate(steps):
        if step == "turn":
            events = room.record_turn(f"<{number}>", "answer")
            turns.append((f"<{number}>", events[0].turn_id))
        elif step == "clear":
            room.clear()
            turns = []
        elif step[0] == "summarise" and turns:
            known = summaries.latest(room.pk, None)
            entries = as_of(room).entries[: 2 * step[1]]
            versions = [e.version for e in entries if known is None or e.version > known.until]
            covered = "".join(words for words, _ in turns[: step[1]])
            if versions:
                # Whatever was erased before.
                assert summaries.record(
                    room.pk, covered, versions=versions, after=known, digest="0" * 64
                )
        elif step[0] == "erase" and turns:
            words, turn_id = turns.pop(step[1] % len(turns))
            gone.append(words)
            room.erase([turn_id], reason="request 7")
    given_ = ruled(room, None, rule, summarised=True)
    said = "".join(str(m.content) for m in given_.messages if isinstance(m, HumanMessage))
    assert said == "".join(words for words, _ in turns)
    room.start_turn("now", prompt=Prompt(previous=given_.described()))
    shown = as_of(room).prompt().messages[:-1]
    assert list(map(codec.dumps, shown)) == list(map(codec.dumps, given_.messages))
    stored = "".join(event.payload or "" for event in read(room.pk))
    assert not [words for words in gone if words in stored]
