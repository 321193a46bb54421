"""A project's own code may raise anything: the process, the socket and the log stand."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from tests.consumers.test_limits import no_turns
from tests.consumers.test_socket import Client, chat, get_stored, url
from tests.consumers.test_summaries import settle
from turnlog.consumers import live
from turnlog.consumers.answering import closing, running, starting, tasks
from turnlog.consumers.socket import limits
from turnlog.events.models import Conversation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow_once]

ANYTHING = [
    RuntimeError,
    SystemExit,
    KeyboardInterrupt,
    GeneratorExit,
    StopIteration,
    StopAsyncIteration,
    asyncio.CancelledError,
    BaseException,
]


class Raising(BaseChatModel):
    """A model whose stream raises after its first words."""

    raised: Any

    @property
    def _llm_type(self) -> str:
        return "raising"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Raising:
        return self

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("not streamed"))])

    def astream(self, *args: Any, **kwargs: Any) -> Any:
        class Stream:
            said = False

            def __aiter__(self) -> Any:
                return self

            async def __anext__(stream) -> Any:
                if stream.said:
                    raise self.raised
                stream.said = True
                return AIMessageChunk("Half")

            async def aclose(self) -> None:
                """There is nothing to close."""

        return Stream()

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        raise NotImplementedError
        yield


def raising(error: type[BaseException], *, after: int = 0) -> Any:
    """A method that raises, once it was called `after` times."""
    called = 0

    def method(self: Any) -> Any:
        nonlocal called
        called += 1
        if called > after:
            raise error
        return True

    return method


def as_coroutine(method: Any) -> Any:
    async def coroutine(self: Any) -> Any:
        return method(self)

    return coroutine


def nothing_is_left() -> bool:
    return not any(
        (limits._shares, live._listeners, running._turns, closing._left, starting._sending)
    )


@pytest.mark.parametrize("error", ANYTHING)
@pytest.mark.parametrize("name", ["get_llm", "get_tools", "aget_prompt_messages"])
async def test_a_turn_ends_in_the_log(
    conversation: Any, user: Any, name: str, error: type[BaseException]
) -> None:
    method = raising(error)
    attributes = {name: as_coroutine(method) if name.startswith("a") else method}
    async with Client(chat(["ok"], **attributes), url(conversation), user) as client:
        _, frames = await client.say("hello")
        assert frames[-1]["outcome"] == "failed"
        await client.send(type="ping")
        await client.until(lambda frame: frame.get("type") == "pong")
    await no_turns()
    assert [event.type for event in await get_stored(conversation)][-1] == "TurnFailed"
    assert nothing_is_left()


@pytest.mark.parametrize("error", ANYTHING)
async def test_what_a_models_stream_raises_ends_its_turn(
    conversation: Any, user: Any, error: type[BaseException]
) -> None:
    consumer = chat(get_llm=lambda self: Raising(raised=error))
    async with Client(consumer, url(conversation), user) as client:
        _, frames = await client.say("hello")
        # To end its stream is a stream's right.
        expected = "completed" if error is StopAsyncIteration else "failed"
        assert frames[-1]["outcome"] == expected
        await client.send(type="ping")
        await client.until(lambda frame: frame.get("type") == "pong")
    await no_turns()
    assert nothing_is_left()


class NotStreaming(BaseChatModel):
    """A model whose answers do not stream: LangChain asks it in tasks of its own."""

    raised: Any

    @property
    def _llm_type(self) -> str:
        return "raising"

    def bind_tools(self, tools: Any, **kwargs: Any) -> NotStreaming:
        return self

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise self.raised


class AsyncNotStreaming(NotStreaming):
    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise self.raised


class Once(AsyncNotStreaming):
    """Answers, and raises when it is asked again."""

    asked: bool = False

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        if self.asked:
            raise self.raised
        self.asked = True
        return ChatResult(generations=[ChatGeneration(message=AIMessage("ok"))])


@pytest.mark.parametrize("error", ANYTHING)
@pytest.mark.parametrize("model", [NotStreaming, AsyncNotStreaming])
async def test_what_a_model_raises_that_does_not_stream_ends_its_turn(
    conversation: Any, user: Any, model: Any, error: type[BaseException]
) -> None:
    consumer = chat(get_llm=lambda self: model(raised=error))
    async with Client(consumer, url(conversation), user) as client:
        _, frames = await client.say("hello")
        assert frames[-1]["outcome"] == "failed"
    await no_turns()
    assert nothing_is_left()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_what_a_model_raises_for_a_summary_ends_nothing_else(
    conversation: Any, user: Any, error: type[BaseException], caplog: Any
) -> None:
    model = AsyncNotStreaming(raised=error)

    async def named(self: Any) -> Any:
        return model

    consumer = chat(["ok " * 200], ["ok"], aget_summary_llm=named, summarize_after_tokens=60)
    async with Client(consumer, url(conversation), user) as client:
        for text in ("hello " * 100, "again"):
            _, frames = await client.say(text)
            assert frames[-1]["outcome"] == "completed"
            await settle()
    assert "a conversation was not summarised: Escaped" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_what_a_model_raises_for_a_name_ends_nothing_else(
    user: Any, error: type[BaseException], caplog: Any
) -> None:
    room = await Conversation.objects.acreate(user=user)
    model = Once(raised=error)
    consumer = chat(get_llm=lambda self: model, name_conversations="model")
    async with Client(consumer, url(room), user) as client:
        _, frames = await client.say("hello")
        assert frames[-1]["outcome"] == "completed"
        while pending := {*tasks.turns, *tasks.naming}:
            await asyncio.wait(pending)
    assert "could not be named: Escaped" in caplog.text


@pytest.mark.parametrize("error", ANYTHING)
async def test_a_request_is_refused_and_the_socket_stays(
    conversation: Any, user: Any, error: type[BaseException]
) -> None:
    consumer = chat(["ok"], can_accept=as_coroutine(raising(error, after=1)))
    turn_id = str(uuid.uuid4())
    async with Client(consumer, url(conversation), user) as client:
        await client.send(user_text="hello", turn_id=turn_id)
        [*_, notice] = await client.until(lambda frame: frame.get("type") == "notice")
        assert notice["refused_turn_id"] == turn_id
        await client.send(type="ping")
        await client.until(lambda frame: frame.get("type") == "pong")
    assert nothing_is_left()


@pytest.mark.parametrize("error", ANYTHING)
async def test_who_may_enter_is_not_known(
    conversation: Any, user: Any, error: type[BaseException]
) -> None:
    """The server is told by an Exception, as of any other error: so it lives on."""
    client = Client(chat(can_accept=as_coroutine(raising(error))), url(conversation), user)
    await client.communicator.send_input({"type": "websocket.connect"})
    [ended], _ = await asyncio.wait([client.communicator.future], timeout=30)
    assert isinstance(ended.exception(), Exception)
    assert nothing_is_left()


@pytest.mark.parametrize("error", ANYTHING)
@pytest.mark.parametrize("name", ["aget_welcome_message", "aget_llm_first_user_message"])
async def test_a_chat_without_a_welcome_is_usable(
    conversation: Any, user: Any, name: str, error: type[BaseException]
) -> None:
    consumer = chat(["ok"], **{name: as_coroutine(raising(error))})
    async with Client(consumer, url(conversation), user) as client:
        _, frames = await client.say("hello")
        assert frames[-1]["outcome"] == "completed"
    await no_turns()
    assert nothing_is_left()


@pytest.mark.parametrize("after", [1, 2])
async def test_a_first_message_that_is_in_the_log_ends_there(
    conversation: Any, user: Any, after: int
) -> None:
    """Whether it is shown is asked before the words are committed."""
    consumer = chat(
        ["ok"],
        llm_first_user_message_template="Begin!",
        get_show_initial_prompt=raising(RuntimeError, after=after),
    )
    client = Client(consumer, url(conversation), user)
    async with client:
        await client.until(lambda f: f.get("type") == "notice" or "outcome" in f)
    await no_turns()
    types = [event.type for event in await get_stored(conversation)]
    assert types[-1:] != ["TurnStarted"]
