"""Other frameworks keep their histories in the log: the real libraries, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables.history import RunnableWithMessageHistory

from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols.server import answering
from turnlog.core.errors import ArgumentError, CodecError, TurnInProgress
from turnlog.events import turns
from turnlog.events.models import Conversation, Event
from turnlog.events.tables.draft import Draft
from turnlog.langchain import TurnlogChatMessageHistory
from turnlog.openai_agents import TurnlogSession
from turnlog.projections import as_of
from turnlog.projections.engine.registry import named
from turnlog.projections.engine.worker import Worker
from turnlog.projections.models import ConversationMessage, SearchEntry
from turnlog.projections.transcript import read_transcript
from turnlog.pydantic_ai import amessage_history, arecord, record

pytestmark = pytest.mark.django_db(transaction=True)

CALL = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
CALLS = {
    **c.WHOLE,
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": None, "tool_calls": [CALL]},
        }
    ],
}


def whole(body: Any) -> list[bytes]:
    return [json.dumps(body).encode()]


def clock() -> str:
    """The time."""
    return "twelve sharp"


def seen(conversation: Conversation, user: Any) -> list[tuple[Any, Any, Any]]:
    """What people see of each turn: words, answer, tools' outputs."""
    return [
        (_content(turn.human), _content(turn.answer), [tool["output"] for tool in turn.tools])
        for turn in read_transcript(conversation.pk, user, limit=50).turns
    ]


def _content(document: Any) -> Any:
    return document and document["_value"]["content"]


asee = sync_to_async(seen)


def types(conversation: Conversation) -> list[str]:
    events = Event.objects.filter(stream_id=conversation.pk).order_by("version")
    return list(events.values_list("type", flat=True))


# The context manager


def test_a_block_records_its_turn(conversation: Conversation, user: Any) -> None:
    with conversation.turn("What time is it?", user=user) as turn:
        assert types(conversation)[-1] == "TurnStarted"
        turn.answer("Noon.", [{"tool": "clock", "input": {}, "output": "12"}])
    assert seen(conversation, user) == [("What time is it?", "Noon.", ["12"])]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ValueError("no"), "failed"), (KeyboardInterrupt(), "cancelled"), (None, "failed")],
)
def test_a_block_without_an_answer_closes_its_turn(
    conversation: Conversation, user: Any, error: BaseException | None, outcome: str
) -> None:
    def block() -> None:
        with conversation.turn("words", user=user):
            if error is not None:
                raise error

    with pytest.raises(ArgumentError if error is None else type(error)):
        block()
    last = Event.objects.filter(stream_id=conversation.pk).latest("version")
    assert (last.type, last.data.outcome) == ("TurnFailed", outcome)  # type: ignore[union-attr]


async def test_a_block_in_async_code_is_closed_when_its_task_is_cancelled(
    conversation: Conversation, user: Any
) -> None:
    begun = asyncio.Event()

    async def never() -> None:
        async with conversation.turn("words", user=user):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(never())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with conversation.turn("again", user=user) as turn:
        turn.answer("Yes.")
    outcomes = [
        event.data.outcome  # type: ignore[union-attr]
        async for event in Event.objects.filter(stream_id=conversation.pk, type="TurnFailed")
    ]
    assert outcomes == ["cancelled"]
    assert (await asee(conversation, user))[-1] == ("again", "Yes.", [])


class Unstorable:
    pass


@pytest.mark.parametrize(
    ("answer", "tools", "kept"),
    [
        (AIMessage("Noon.", additional_kwargs={"x": Unstorable()}), None, None),
        ("Noon.", [Unstorable()], "Noon."),
        (7, None, None),
    ],
)
@pytest.mark.parametrize("raises", [False, True])
def test_a_block_is_closed_if_its_answer_cannot_be_stored(
    conversation: Conversation, user: Any, answer: Any, tools: Any, kept: Any, raises: bool
) -> None:
    def block() -> None:
        with conversation.turn("words", user=user) as turn:
            turn.answer(answer, tools)
            if raises:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError if raises else (ArgumentError, CodecError)):
        block()
    last: Any = Event.objects.filter(stream_id=conversation.pk).latest("version")
    assert (last.type, last.data.outcome) == ("TurnFailed", "failed")
    assert _content(last.data.produced["message"]) == kept


async def test_a_block_whose_answer_cannot_be_stored_is_closed_in_async_code(
    conversation: Conversation, user: Any
) -> None:
    with pytest.raises(ArgumentError):
        async with conversation.turn("words", user=user) as turn:
            turn.answer(7)  # type: ignore[arg-type]
    assert (await sync_to_async(types)(conversation))[-1] == "TurnFailed"


async def test_a_task_that_is_cancelled_while_its_block_begins_leaves_no_open_turn(
    conversation: Conversation, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, start = threading.Event(), threading.Event(), turns.start

    def slow(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return start(*args, **kwargs)

    monkeypatch.setattr(turns, "start", slow)

    async def block() -> None:
        async with conversation.turn("words", user=user):
            raise AssertionError("the block is not entered")

    task = asyncio.create_task(block())
    assert await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    await asyncio.wait([task], timeout=0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    last: Any = await Event.objects.filter(stream_id=conversation.pk).alatest("version")
    assert (last.type, last.data.outcome) == ("TurnFailed", "cancelled")


# LangChain


async def test_langchains_runnable_keeps_its_history_here(
    conversation: Conversation, user: Any
) -> None:
    async with answering(whole(c.WHOLE), kind=None) as model:
        chain = RunnableWithMessageHistory(
            chats.not_streamed(model.url),
            lambda: TurnlogChatMessageHistory(conversation, user),
            history_factory_config=[],
        )
        await chain.ainvoke("What time is it?")
        await chain.ainvoke("And now?")
        sent = [message["content"] for message in model.requests[-1]["messages"]]
    assert sent == ["What time is it?", "It is noon.", "And now?"]
    assert await asee(conversation, user) == [
        ("What time is it?", "It is noon.", []),
        ("And now?", "It is noon.", []),
    ]


MESSAGES = st.lists(
    st.one_of(
        st.builds(HumanMessage, st.text(max_size=5)),
        st.builds(AIMessage, st.text(max_size=5)),
        st.builds(SystemMessage, st.text(max_size=5)),
        st.just(AIMessage("", tool_calls=[{"name": "clock", "args": {}, "id": "1"}])),
        st.builds(ToolMessage, st.text(max_size=5), tool_call_id=st.just("1")),
    ),
    max_size=8,
)


@pytest.mark.slow_once
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MESSAGES)
def test_what_was_added_comes_back(user: Any, messages: list[BaseMessage]) -> None:
    """Law: the history is what was added. Once it ends with an answer, the log has all of it."""
    room = Conversation.objects.create(user=user)
    history = TurnlogChatMessageHistory(room, user)
    history.add_messages(messages)
    assert history.messages == messages
    history.add_messages([AIMessage("the end")])
    assert TurnlogChatMessageHistory(room, user).messages == [*messages, AIMessage("the end")]
    history.clear()
    assert history.messages == []


CALL_OF_CLOCK = AIMessage("", tool_calls=[{"name": "clock", "args": {}, "id": "1"}])
OUTPUT = ToolMessage("12", tool_call_id="1")


def outcomes(conversation: Conversation) -> list[str]:
    """How the turns that failed did so."""
    failed = Event.objects.filter(stream_id=conversation.pk, type="TurnFailed")
    found: list[Any] = list(failed.order_by("version"))
    return [event.data.outcome for event in found]


def test_a_history_that_is_cleared_ends_its_turn(conversation: Conversation, user: Any) -> None:
    history = TurnlogChatMessageHistory(conversation, user)
    history.add_messages([HumanMessage("one"), CALL_OF_CLOCK, OUTPUT])
    history.clear()
    assert outcomes(conversation) == ["cancelled"]
    failed: Any = Event.objects.get(stream_id=conversation.pk, type="TurnFailed")
    assert [tool["output"] for tool in failed.data.produced["tools"]] == ["12"]
    history.add_messages([HumanMessage("two")])
    assert history.messages == [HumanMessage("two")]


def test_the_next_history_ends_what_a_dropped_one_left_open(
    conversation: Conversation, user: Any
) -> None:
    said, ended = (
        HumanMessage("one"),
        [HumanMessage("two"), HumanMessage("?"), CALL_OF_CLOCK, OUTPUT],
    )
    TurnlogChatMessageHistory(conversation, user).add_messages([said])
    TurnlogChatMessageHistory(conversation, user).add_messages(ended[:2])
    # A run that ends on a tool's output, or that was lost after one, has it for the next.
    assert outcomes(conversation) == ["interrupted"]
    history = TurnlogChatMessageHistory(conversation, user)
    history.add_messages(ended)
    assert outcomes(conversation) == ["interrupted"] * 2
    with pytest.raises(TurnInProgress):
        TurnlogChatMessageHistory(conversation, user).add_messages([said])
    history.add_messages([])
    del history
    assert TurnlogChatMessageHistory(conversation, user).messages == ended
    assert seen(conversation, user)[-1] == ("two\n\n?", "", ["12"])
    assert not Draft.objects.filter(stream_id=conversation.pk).exists()


@pytest.mark.parametrize("before", [[], [HumanMessage("one")]])
def test_what_cannot_be_stored_is_not_in_the_way(
    conversation: Conversation, user: Any, before: list[BaseMessage]
) -> None:
    history = TurnlogChatMessageHistory(conversation, user)
    session = TurnlogSession(conversation)
    history.add_messages(before)
    for bad in (OUTPUT, AIMessage("Noon.")):
        more = {"x": Unstorable()}
        with pytest.raises(CodecError):
            history.add_messages([bad.model_copy(update={"additional_kwargs": more})])
    history.add_messages([HumanMessage("two"), AIMessage("Noon.")])
    assert history.messages == [*before, HumanMessage("two"), AIMessage("Noon.")]
    items = [item("user", each.text) for each in before]
    async_to_sync(session.add_items)(items)
    for role in ("assistant", "system"):
        with pytest.raises(CodecError):
            async_to_sync(session.add_items)([{**item(role, "no"), "more": Unstorable()}])
    more_items = [item("user", "two"), item("assistant", "three")]
    async_to_sync(session.add_items)(more_items)
    assert async_to_sync(session.get_items)() == [*items, *more_items]


def test_a_history_is_one_persons(
    conversation: Conversation, user: Any, django_user_model: Any
) -> None:
    other = django_user_model.objects.create_user("grace")
    TurnlogChatMessageHistory(conversation, user).add_messages(
        [HumanMessage("hi"), AIMessage("Hi!")]
    )
    assert TurnlogChatMessageHistory(conversation, other).messages == []
    with pytest.raises(ArgumentError, match="a Conversation"):
        TurnlogChatMessageHistory(7, user)  # type: ignore[arg-type]


# pydantic-ai


async def test_a_run_of_pydantic_ai_is_a_turn(conversation: Conversation, user: Any) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessagesTypeAdapter
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    written = ModelMessagesTypeAdapter.dump_json
    await conversation.arecord_turn("Before", "By another program.", user=user)
    scripts = whole(CALLS), whole(c.WHOLE), whole(c.WHOLE)
    async with answering(*scripts, kind=None) as server:
        provider = OpenAIProvider(base_url=f"{server.url}/v1", api_key="none")
        agent = Agent(OpenAIChatModel("gpt-4o", provider=provider), tools=[clock])
        earlier = await amessage_history(conversation, user)
        result = await agent.run("What time is it?", message_history=earlier)
        await arecord(conversation, result.new_messages(), user=user)
        history = await amessage_history(conversation, user)
        assert written(history) == written(result.all_messages())
        await agent.run("And now?", message_history=history)
        sent = [message["role"] for message in server.requests[-1]["messages"]]
    assert sent == ["user", "assistant", "user", "assistant", "tool", "assistant", "user"]
    assert (await asee(conversation, user))[1:] == [
        ("What time is it?", "It is noon.", ["twelve sharp"])
    ]
    await sync_to_async(lambda: Worker(named(["usage", "search"])).catch_up())()
    assert await sync_to_async(lambda: SearchEntry.objects.search("noon").count())() == 1


def test_a_run_without_a_response_is_refused(conversation: Conversation) -> None:
    with pytest.raises(ArgumentError, match="ModelResponse"):
        record(conversation, [])


# OpenAI's Agents SDK


async def test_a_session_of_the_agents_sdk_is_turns(conversation: Conversation, user: Any) -> None:
    from agents import Agent, OpenAIChatCompletionsModel, RunConfig, Runner, function_tool
    from agents.memory import Session
    from openai import AsyncOpenAI

    scripts = whole(CALLS), whole(c.WHOLE), whole(c.WHOLE)
    async with answering(*scripts, kind=None) as server:
        client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        agent: Any = Agent(
            name="clock",
            model=OpenAIChatCompletionsModel("gpt-4o", client),
            tools=[function_tool(clock)],
        )
        session = TurnlogSession(conversation, user)
        assert isinstance(session, Session)
        quiet = RunConfig(tracing_disabled=True)
        await Runner.run(agent, "What time is it?", session=session, run_config=quiet)
        again = TurnlogSession(conversation, user)
        items = await again.get_items()
        assert items == await session.get_items()
        assert [item.get("type") or item["role"] for item in items][1:3] == [
            "function_call",
            "function_call_output",
        ]
        await Runner.run(agent, "And now?", session=again, run_config=quiet)
        sent = [message["role"] for message in server.requests[-1]["messages"]]
        await client.close()
    assert sent == ["user", "assistant", "tool", "assistant", "user"]
    assert await asee(conversation, user) == [
        ("What time is it?", "It is noon.", ["twelve sharp"]),
        ("And now?", "It is noon.", []),
    ]


async def test_a_run_that_raises_or_ends_on_a_tools_output_leaves_no_open_turn(
    conversation: Conversation, user: Any
) -> None:
    from agents import (
        Agent,
        ModelBehaviorError,
        OpenAIChatCompletionsModel,
        RunConfig,
        Runner,
        function_tool,
    )
    from openai import AsyncOpenAI

    nothing = {**c.WHOLE, "choices": []}
    async with answering(whole(nothing), whole(CALLS), whole(c.WHOLE), kind=None) as server:
        client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        agent: Any = Agent(
            name="clock",
            model=OpenAIChatCompletionsModel("gpt-4o", client),
            tools=[function_tool(clock)],
            tool_use_behavior="stop_on_first_tool",
        )

        async def run(words: str) -> None:
            session, quiet = TurnlogSession(conversation, user), RunConfig(tracing_disabled=True)
            await Runner.run(agent, words, session=session, run_config=quiet)

        with pytest.raises(ModelBehaviorError):
            await run("one")
        await run("two")
        await run("three")
        sent = [message["role"] for message in server.requests[-1]["messages"]]
        await client.close()
    assert sent == ["user", "assistant", "tool", "user"]
    assert await asee(conversation, user) == [
        ("one", None, []),
        ("two", "", ["twelve sharp"]),
        ("three", "It is noon.", []),
    ]
    assert await sync_to_async(outcomes)(conversation) == ["interrupted"]


def item(role: str, text: str) -> Any:
    return {"role": role, "content": text}


async def test_a_session_keeps_words_that_follow_words_and_ends_what_it_clears_or_leaves(
    conversation: Conversation, user: Any
) -> None:
    one, two, three = item("user", "one"), item("user", "two"), item("assistant", "three")
    session = TurnlogSession(conversation, user)
    await session.add_items([one, two])
    assert await session.get_items() == [one, two]
    await session.add_items([three])
    assert await TurnlogSession(conversation, user).get_items() == [one, two, three]
    assert await session.pop_item() == three
    del session  # The turn that began again has nobody any more.
    session = TurnlogSession(conversation, user)
    await session.add_items([one])
    await session.add_items([two])
    await session.clear_session()
    await session.add_items([two])
    assert await session.get_items() == [two]
    assert await sync_to_async(outcomes)(conversation) == ["interrupted", "cancelled"]


async def test_items_are_taken_out_and_cleared_by_events(
    conversation: Conversation, user: Any
) -> None:
    session = TurnlogSession(conversation, user)
    assert await session.pop_item() is None
    one, two, more = item("user", "one"), item("assistant", "two"), item("user", "\ud83d more")
    await session.add_items([one, two, more])
    assert await session.get_items(limit=2) == [two, more]
    assert await session.pop_item() == more
    assert await session.get_items() == [one, two]
    events = await sync_to_async(types)(conversation)
    assert events[-2:] == ["TurnStarted", "TurnFailed"]
    # Of a turn that has ended, too: what it was stays in the log, and the turn begins again.
    assert await session.pop_item() == two
    assert await session.get_items() == [one]
    await session.add_items([item("assistant", "three")])
    assert await TurnlogSession(conversation, user).get_items() == [one, item("assistant", "three")]
    for expected in ("three", "one"):
        taken = await session.pop_item()
        assert taken is not None
        assert taken["content"] == expected
    assert await session.pop_item() is None
    assert "two" in str([event.payload async for event in Event.objects.all()])
    await session.clear_session()
    assert await TurnlogSession(conversation, user).get_items() == []
    assert (await sync_to_async(types)(conversation))[-1] == "ConversationCleared"


# What they record is like everything else


ITEMS = st.lists(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.text(max_size=5)
        | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["_type", "_value", "a"]), inner, max_size=2)
        ),
        max_leaves=6,
    ),
    max_size=3,
)


@pytest.mark.slow_once
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ITEMS)
def test_a_sessions_items_come_back(user: Any, values: list[Any]) -> None:
    room = Conversation.objects.create(user=user)
    items = [item("user", "one"), {"type": "other", "values": values}, item("assistant", "two")]
    async_to_sync(TurnlogSession(room, user).add_items)(items)
    again = async_to_sync(TurnlogSession(room, user).get_items)()
    assert repr(again) == repr(items)


@pytest.mark.parametrize("framework", ["langchain", "pydantic-ai", "openai-agents"])
async def test_it_is_seen_travelled_to_and_erased_like_any_turn(
    conversation: Conversation, user: Any, framework: str
) -> None:
    words = "pomegranate"
    if framework == "langchain":
        history = TurnlogChatMessageHistory(conversation, user)
        call = AIMessage("", tool_calls=[{"name": "c", "args": {}, "id": words}])
        await history.aadd_messages(
            [HumanMessage(words), call, ToolMessage(words, tool_call_id=words), AIMessage(words)]
        )
    elif framework == "pydantic-ai":
        from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

        messages = [ModelRequest([UserPromptPart(words)]), ModelResponse([TextPart(words)])]
        await arecord(conversation, messages, user=user)
    else:
        session = TurnlogSession(conversation, user)
        await session.add_items([item("user", words), item("assistant", words)])
    head = await Event.objects.filter(stream_id=conversation.pk).alatest("version")
    then = await sync_to_async(as_of)(conversation, version=head.version)
    assert words in str(then)
    assert await ConversationMessage.objects.filter(conversation=conversation).aexists()
    await conversation.aerase([head.turn_id], by=user, reason="request 1")
    left = Event.objects.filter(stream_id=conversation.pk, payload__contains=words)
    assert not await left.aexists()
    assert await amessage_history(conversation, user) == []
