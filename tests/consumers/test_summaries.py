"""Older turns are summarised; the log says what the model was given then, and loses nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage

from tests.consumers.test_limits import no_turns
from tests.consumers.test_previous_messages import ask, require_prompt_is_what_was_seen
from tests.consumers.test_socket import chat, get_stored
from turnlog.consumers.answering import summarising
from turnlog.consumers.answering.summarising import SUMMARY
from turnlog.consumers.mixins.given import ruled
from turnlog.core import codec
from turnlog.events import summaries
from turnlog.events.log import read
from turnlog.events.models import Conversation
from turnlog.events.prompt import Prompt
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
            entries = [entry for entry in as_of(room).entries if "<" in entry.content]
            last = entries[min(step[1], len(entries)) - 1]
            covered = "".join(words for words, _ in turns[: step[1]])
            until = last.version + 1
            summaries.record(
                room.pk, covered, since=entries[0].version, until=until, digest="0" * 64
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
