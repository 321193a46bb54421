"""What a chat's model is given of earlier turns, and that the log says just that."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from tests.consumers.test_socket import Client, chat, get_stored, said, url
from tests.project.models_for_tests import tool_call
from turnlog.consumers.answering import starting, turn_task
from turnlog.core import codec, retrying
from turnlog.events import prompt
from turnlog.events.log import NewEvent, append
from turnlog.events.models import Conversation, Event
from turnlog.events.types import TurnStarted
from turnlog.projections.travel.moments import as_of

pytestmark = pytest.mark.django_db(transaction=True)

aprompt = sync_to_async(lambda conversation, call: as_of(conversation).prompt(call))


async def ask(consumer: Any, conversation: Any, user: Any, *texts: str) -> list[str]:
    """Say these one after the other; the outcomes."""
    outcomes = []
    async with Client(consumer, url(conversation), user) as client:
        await client.until(lambda frame: frame.get("type") == "hello")
        for text in texts:
            _, frames = await client.say(text)
            outcomes.append(frames[-1]["outcome"])
    return outcomes


async def last_previous(conversation: Any) -> Any:
    started = [e for e in await get_stored(conversation) if e.type == "TurnStarted"]
    return started[-1].data.previous  # type: ignore[union-attr]


def documents(messages: Any) -> list[str]:
    return [codec.dumps(message) for message in messages]


async def require_prompt_is_what_was_seen(consumer: Any, conversation: Any) -> Any:
    """Each call of the last turn, as the model saw it and as the log has it; the first of them."""
    seen = consumer.model.seen
    first = max(place for place, given in enumerate(seen) if isinstance(given[-1], HumanMessage))
    calls = seen[first:]
    for number, given in enumerate(calls, 1):
        found = await aprompt(conversation, number)
        assert documents(found.messages) == documents(given)
    assert (await aprompt(conversation, None)).call == len(calls)
    return await aprompt(conversation, 1)


@pytest.mark.parametrize("tools", [False, True])
@pytest.mark.parametrize("max_tokens", [None, 60, 0])
async def test_the_log_has_what_the_model_was_given(
    tools: bool, max_tokens: int | None, conversation: Any, user: Any
) -> None:
    consumer = chat(
        ["one", tool_call("double", {"number": 1})],
        ["!"],
        [tool_call("explode", {})],
        ["two"],
        ["three"],
        llm_history_tools=tools,
        llm_history_max_tokens=max_tokens,
    )
    for text in ("a", "b", "c"):
        await ask(consumer, conversation, user, text)
        found = await require_prompt_is_what_was_seen(consumer, conversation)
        assert found.system_prompt == "You are a tutor."
        assert [schema["function"]["name"] for schema in found.tools] == ["double"]
    roles = [message.type for message in found.messages]
    turn = ["human", "ai", "tool", "ai"] if tools else ["human", "ai"]
    turns = {None: 2, 60: 1 if tools else 2, 0: 0}[max_tokens]
    assert roles == ["system", *turn * turns, "human"]
    previous = await last_previous(conversation)
    assert previous["tools"] is tools
    assert (previous["until"] == 0) == (max_tokens == 0)


async def test_the_model_reads_again_what_it_read_of_a_tool(conversation: Any, user: Any) -> None:
    @tool(response_format="content_and_artifact")
    def chart(title: str) -> Any:
        """Draw."""
        return f"I drew {title}.", {"points": [1, 2]}

    consumer = chat(
        *([tool_call("chart", {"title": "x"})], ["here"], ["bye"]),
        tools=(chart,),
        llm_history_tools=True,
    )
    await ask(consumer, conversation, user, "draw", "thanks")
    [in_its_turn] = [m for m in consumer.model.seen[1] if isinstance(m, ToolMessage)]
    [later] = [m for m in consumer.model.seen[2] if isinstance(m, ToolMessage)]
    assert later.content == in_its_turn.content == "I drew x."
    [recorded] = [e.data for e in await get_stored(conversation) if e.type == "ToolOutputRecorded"]
    assert (recorded.output, recorded.text) == (  # type: ignore[union-attr]
        {"points": [1, 2]},
        "I drew x.",
    )


async def test_choosing_among_the_messages_takes_effect_and_is_recorded(
    conversation: Any, user: Any
) -> None:
    async def last_only(self: Any) -> Any:
        return (await super(consumer, self).aget_previous_messages())[-2:]

    consumer = chat(["A"], ["B"], ["C"], aget_previous_messages=last_only)
    await ask(consumer, conversation, user, "a", "b", "c")
    assert [m.content for m in consumer.model.seen[-1]] == ["You are a tutor.", "b", "B", "c"]
    await require_prompt_is_what_was_seen(consumer, conversation)
    assert await last_previous(conversation) == {"messages": [6, 7]}


async def test_a_summary_is_recorded_with_what_stands_behind_it(
    conversation: Any, user: Any
) -> None:
    async def summarised(self: Any) -> Any:
        messages = await super(consumer, self).aget_prompt_messages()
        return [("system", f"{len(messages)} before"), *messages[-2:]] if messages else messages

    consumer = chat(["A"], ["B"], ["C"], aget_prompt_messages=summarised)
    await ask(consumer, conversation, user, "a", "b", "c")
    assert [m.content for m in consumer.model.seen[-1][1:]] == ["4 before", "b", "B", "c"]
    await require_prompt_is_what_was_seen(consumer, conversation)
    summary = codec.encode(SystemMessage("4 before"))
    assert await last_previous(conversation) == {"messages": [summary, 6, 7]}
    first = next(e for e in await get_stored(conversation) if e.type == "TurnStarted")
    assert first.data.previous == {  # type: ignore[union-attr]
        "tools": False,
        "since": 0,
        "until": 0,
    }


async def test_a_message_that_was_changed_in_place_is_recorded_as_it_was_given(
    conversation: Any, user: Any
) -> None:
    async def redacted(self: Any) -> Any:
        messages = await super(consumer, self).aget_prompt_messages()
        for message in messages:
            message.content = message.content.replace("12345", "*****")
        return messages

    consumer = chat(["A"], ["B"], aget_prompt_messages=redacted)
    await ask(consumer, conversation, user, "my code is 12345", "b")
    found = await require_prompt_is_what_was_seen(consumer, conversation)
    assert found.messages[1].content == "my code is *****"


async def test_reading_that_fails_keeps_the_words(conversation: Any, user: Any) -> None:
    async def broken(self: Any) -> Any:
        raise ValueError("oops")

    consumer = chat(["ok"], aget_prompt_messages=broken)
    assert await ask(consumer, conversation, user, "hello") == ["failed"]
    events = await get_stored(conversation)
    assert [event.type for event in events[1:]] == ["TurnStarted", "TurnFailed"]
    assert events[1].data.message["_value"]["content"] == "hello"  # type: ignore[union-attr]
    assert events[1].data.previous is None  # type: ignore[union-attr]
    assert consumer.model.seen == []


async def test_what_is_said_while_it_is_read_is_read_too(conversation: Any, user: Any) -> None:
    read: list[int] = []

    async def overtaken(self: Any) -> Any:
        messages = await super(consumer, self).aget_prompt_messages()
        read.append(len(messages))
        if len(read) == 1:
            await conversation.arecord_turn("meanwhile", AIMessage("said"), user=user)
        return messages

    consumer = chat(["ok"], aget_prompt_messages=overtaken)
    assert await ask(consumer, conversation, user, "hello") == ["completed"]
    assert read == [0, 2]
    assert [m.content for m in consumer.model.seen[0][1:]] == ["meanwhile", "said", "hello"]
    await require_prompt_is_what_was_seen(consumer, conversation)
    assert await last_previous(conversation) == {"tools": False, "since": 2, "until": 3}


async def test_who_is_overtaken_again_and_again_keeps_the_words(
    conversation: Any, user: Any
) -> None:
    async def overtaken(self: Any) -> Any:
        await conversation.aclear()
        return []

    consumer = chat(["ok"], aget_prompt_messages=overtaken)
    assert await ask(consumer, conversation, user, "hello") == ["failed"]
    *cleared, started, failed = [event async for event in events_of(conversation)]
    tries = retrying.OVERTAKEN_PROMPTS
    assert [event.type for event in cleared[1:]] == ["ConversationCleared"] * tries
    assert started.data.message["_value"]["content"] == "hello"
    assert failed.data.error["type"] == prompt.StalePrompt.__name__


def events_of(conversation: Any) -> Any:
    return Event.objects.filter(stream_id=conversation.pk).order_by("version").aiterator()


async def test_closing_an_abandoned_turn_on_the_way_overtakes_nobody(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await Conversation.objects.acreate(user=user)
    assert await ask(chat(["ok"]), other, user, "keeps the prompt") == ["completed"]
    readings: list[Any] = []
    original = starting.ruled

    def counted(*args: Any, **kwargs: Any) -> Any:
        readings.append(original(*args, **kwargs))
        return readings[-1]

    async def set_up(chat: Any) -> Any:
        # Now, for opening the page closes what it finds abandoned.
        started = NewEvent(TurnStarted(codec.encode(HumanMessage("lost"))), uuid.uuid4())
        await sync_to_async(append)(conversation.pk, [started])
        return await starting.set_up(chat)

    monkeypatch.setattr(starting, "ruled", counted)
    monkeypatch.setattr(turn_task, "set_up", set_up)
    assert await ask(chat(["ok"]), conversation, user, "hello") == ["completed"]
    assert len(readings) == 1
    types = [event.type for event in await get_stored(conversation)]
    assert types[1:4] == ["TurnStarted", "TurnFailed", "TurnStarted"]


async def test_a_message_that_cannot_be_kept_is_not_given(conversation: Any, user: Any) -> None:
    class Own(HumanMessage):
        pass

    async def own(self: Any) -> Any:
        return [Own("unheard of")]

    consumer = chat(["ok"], aget_prompt_messages=own)
    assert await ask(consumer, conversation, user, "hello") == ["failed"]
    assert consumer.model.seen == []


async def test_without_a_conversation_the_same_rule_holds(user: Any) -> None:
    consumer = chat(
        *([tool_call("double", {"number": 1})], ["two"], ["bye"]), llm_history_tools=True
    )
    async with Client(consumer, "/ws/chat/?format=json", user) as client:
        for text in ("a", "b"):
            await client.send(user_text=text)
            frames = await client.until_ended()
    assert said(frames) == "bye"
    assert [m.type for m in consumer.model.seen[-1]] == [
        *("system", "human", "ai", "tool", "ai", "human")
    ]


async def test_in_a_room_of_nobody_each_is_given_their_own(
    django_user_model: Any, user: Any
) -> None:
    room = await Conversation.objects.acreate()
    bob = await sync_to_async(django_user_model.objects.create_user)("bob")
    consumer = chat(["A"], ["B"], ["C"])
    for person, text in ((user, "a"), (bob, "b"), (user, "c")):
        await ask(consumer, room, person, text)
        await require_prompt_is_what_was_seen(consumer, room)
    assert [m.content for m in consumer.model.seen[-1][1:]] == ["a", "A", "c"]
