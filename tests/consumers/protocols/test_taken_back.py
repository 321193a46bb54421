"""Whatever a model said and tools returned, its server accepts the requests that follow."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool

from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols import messages as m
from tests.consumers.protocols.chats import ask, chat
from tests.consumers.protocols.checking import faults
from tests.consumers.protocols.server import answering
from tests.consumers.test_approval import guarded
from tests.consumers.test_socket import Client, url
from tests.project.models_for_tests import ScriptedModel
from turnlog.consumers.answering import agent
from turnlog.consumers.answering.steps import Answer
from turnlog.consumers.answering.tool_values import keeping, value_of
from turnlog.consumers.mixins.limits import Limits
from turnlog.core.content_blocks import content_of
from turnlog.core.sendable import sendable
from turnlog.projections.messages.previous import HistoryRule

A = '{"number": 2}'


def deep(levels: int) -> str:
    return '{"number":' + "[" * levels + "]" * levels + "}"


def double(number: int) -> int:
    """Twice as much."""
    return 2 * number


CALLS: dict[str, list[tuple[Any, Any, Any]]] = {
    # name: the name, input and id of each call in one round.
    "the same id twice": [("double", A, "x"), ("double", A, "x"), ("nope", "{oops", "x")],
    "an empty id": [("double", A, ""), ("double", A, "")],
    "no id": [("double", A, None), ("double", "[1]", None)],
    "an id like turnlog's": [("double", A, None), ("double", A, "call00000")],
    "no name": [("", A, "x")],
    "null as a name": [(None, A, "x")],
    "a long name": [("n" * 1_000_000, A, "x")],
    "a name of other characters": [("a b\x00</script>\ud800", A, "x"), ("두배", A, "y")],
    "an input that is no object": [("double", "[1]", "x"), ("double", "{oops", "y")],
    "an input that is deep": [("double", deep(300), "x")],
    "an input that is deeper": [("double", deep(900), "x")],
    "an input that nobody can read": [("double", deep(100_000), "x"), ("double", A, "y")],
}


def _completion(calls: list[tuple[Any, Any, Any]]) -> list[bytes]:
    asked = [
        {"index": n, "id": id_, "type": "function", "function": {"name": name, "arguments": args}}
        for n, (name, args, id_) in enumerate(calls)
    ]
    return [c.chunk({"tool_calls": asked}), c.chunk({}, "tool_calls"), c.DONE]


def _messages(calls: list[tuple[Any, Any, Any]]) -> list[bytes]:
    return m.answer(*(m.call(name, args, id_) for name, args, id_ in calls), reason="tool_use")


PROTOCOLS: dict[str, tuple[Any, Any, list[bytes]]] = {
    "completions": (chats.completions, _completion, c.said("fine")),
    "anthropic": (chats.messages, _messages, m.answer(m.text("fine"))),
}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_odd_calls_go_back_as_calls(
    conversation: Any, user: Any, protocol: str, name: str
) -> None:
    make, script, fine = PROTOCOLS[protocol]
    calls = CALLS[name]
    async with answering(script(calls), script(calls), fine) as model:
        consumer = chat(make, model.url, double, llm_history_tools=True)
        said = await ask(consumer, conversation, user, "go", "again")
        assert said.outcome == "completed"
        assert [faults(request["messages"]) for request in model.requests] == [[]] * 4
    assert sum(event.type == "ToolOutputRecorded" for event in said.events) in (0, len(calls))


@pytest.mark.django_db(transaction=True)
async def test_the_log_keeps_the_name_and_the_model_is_told(conversation: Any, user: Any) -> None:
    asking = _completion([("a b", A, "x"), ("double", deep(300), "y")])
    async with answering(asking, c.said("fine")) as model:
        said = await ask(chat(chats.completions, model.url, double), conversation, user, "go")
        asked, *told = model.requests[1]["messages"][1:]
    assert [call["function"] for call in asked["tool_calls"]] == [
        {"name": "unknown_tool", "arguments": A},
        {"name": "double", "arguments": "{}"},
    ]
    assert "There is no tool named a b." in told[0]["content"]
    assert "not a JSON object of" in told[1]["content"]
    outputs = [json.loads(e.payload) for e in said.events if e.type == "ToolOutputRecorded"]
    assert [output["tool"] for output in outputs] == ["a b", "double"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("levels", [170, 300, 900])
async def test_a_deep_input_beside_a_call_that_waits(
    conversation: Any, user: Any, levels: int
) -> None:
    parts = [("refund", '{"order": 17}', "a"), ("refund", deep(levels), "b")]
    chunks: Any = [
        {"name": name, "args": args, "id": id_, "index": index}
        for index, (name, args, id_) in enumerate(parts)
    ]
    asked = AIMessageChunk("", tool_call_chunks=chunks, chunk_position="last")
    consumer = guarded([asked], ["Done."])
    async with Client(consumer, url(conversation), user) as client:
        _turn_id, frames = await client.say("Refund")
    assert frames[-1]["outcome"] == "waiting"
    waiting = await conversation.awaiting()
    assert len(waiting.calls) == (2 if levels < 180 else 1)


BLOCKS: list[Any] = [
    [{"type": "text", "text": "a clock"}],
    [{"type": "image", "base64": "AAAA", "mime_type": "image/png"}, {"type": "text", "text": "a"}],
    [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}],
    [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}],
]
NO_BLOCKS: list[Any] = [
    *([], ["a", "b"], [1], [{}], [{"type": 3}], [{"type": []}], [{"type": "text", "text": None}]),
    [{"type": "image_url", "image_url": 3}],
    [{"type": "image_url", "image_url": {"url": "javascript:alert(1)"}}],
    [{"type": "file", "name": "a.txt", "size": 3}, {"type": "file", "name": "b.txt", "size": 4}],
    [{"type": "document", "source": "a book"}, {"type": "document", "source": {"type": "url"}}],
    [{"type": "image", "url": "/media/a.png"}, {"type": "json", "json": {}}],
    [{"type": "image", "base64": "AAAA", "mime_type": "image/svg+xml"}],
    [{"type": "text", "text": "a row", "id": 3}, {"type": "text", "text": "a row", "id": 4}],
    [{"type": "text", "text": "a", "day": "Monday"}, "b"],
]


def returned(value: Any) -> Any:
    @tool
    def given() -> Any:
        """A tool."""
        return value

    call: Any = {"name": "given", "args": {}, "id": "1", "type": "tool_call"}
    return value_of(keeping(given).invoke(call), Limits()).content


@pytest.mark.parametrize("value", BLOCKS, ids=str)
def test_content_blocks_go_out_as_such(value: Any) -> None:
    assert returned(value) == value
    assert content_of(value) is value


@pytest.mark.parametrize("value", NO_BLOCKS, ids=str)
def test_what_only_looks_like_blocks_goes_out_as_json(value: Any) -> None:
    text = json.dumps(value)
    assert (returned(value), content_of(value)) == (text, text)
    message = ToolMessage(value if value != [1] else ["a"], tool_call_id="1")
    assert isinstance(returned(message), str)


def test_a_text_among_blocks_becomes_one() -> None:
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert returned(["a", texts[1]]) == texts


def test_a_name_that_was_offered_goes_back_as_it_is() -> None:
    message = ToolMessage("1", tool_call_id="1", name="두.배")
    assert sendable(message, {"두.배"}) is message
    assert sendable(message, ()).name == "unknown_tool"


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "image_url", "url", "id"]), inner)
        | st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "image", "image_url", "file", "document", "json"])},
            optional={"text": inner, "image_url": inner, "source": inner, "url": inner},
        )
    ),
    max_leaves=8,
)
_CALL = st.tuples(
    st.sampled_from(["given", "", None, "a b", "x" * 65, "두배", "nope"]) | st.text(max_size=3),
    st.sampled_from(["{}", "", "[1]", "{oops", '{"a": NaN}', deep(250), deep(30)])
    | _JSON.map(json.dumps),
    st.sampled_from(["x", "y", "", None, "call00000", "call00001"]),
)
_CLIENTS = [chats.completions("http://nowhere"), chats.messages("http://nowhere")]


@given(st.lists(st.lists(_CALL, min_size=1, max_size=3), min_size=1, max_size=3), _JSON)
def test_every_next_request_is_one_that_servers_accept(calls: Any, value: Any) -> None:
    @tool
    def given(a: Any = None) -> Any:
        """A tool."""
        return value

    rounds = [[_round(asked)] for asked in calls]
    model, answer, human = ScriptedModel(replies=[*rounds, ["Done."]]), Answer(), HumanMessage("q")

    async def run() -> None:
        async for _step in agent.run(answer, model, [human], [given]):
            pass

    model.seen = []
    asyncio.run(run())
    outputs = iter(answer.tools_output_list)
    said: list[Any] = [human]
    for message in answer.messages:
        said.append(message)
        said += [next(outputs) for _ in (*message.tool_calls, *message.invalid_tool_calls)]
    later = [*HistoryRule(tools=True).of_messages(said), HumanMessage("again")]
    for request in (*model.seen, later, [*HistoryRule().of_messages(said), human]):
        for client in _CLIENTS:
            assert faults(client._get_request_payload(request)["messages"]) == []


def _round(calls: Any) -> AIMessageChunk:
    """What both clients make of these calls: chunks, and Anthropic's blocks beside them."""
    chunks: Any = [
        {"name": name, "args": args, "id": id_, "index": n}
        for n, (name, args, id_) in enumerate(calls)
    ]
    blocks: Any = [
        {"type": "tool_use", "id": id_, "name": name, "input": {}, "partial_json": args}
        for name, args, id_ in calls
    ]
    return AIMessageChunk(content=blocks, tool_call_chunks=chunks, chunk_position="last")
