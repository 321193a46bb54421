"""LangChain's messages come back with every field as it was."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import langchain_core.messages
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.agents import AgentAction, AgentActionMessageLog, AgentFinish, AgentStep
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    BaseMessageChunk,
    ChatMessage,
    ChatMessageChunk,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langchain_core.runnables.utils import AddableDict

from tests.core.test_codec_same import assert_same
from turnlog.core.codec import CodecError, decode, dumps, encode, loads
from turnlog.core.codec.messages import _decode_agent

pytestmark = pytest.mark.slow_once

# The rows of the tutorial's INSERT (docs/tutorial), as they stand there.
TUTORIAL_ROWS = [
    '{"_type": "HumanMessage", "_value": {"content": "hello", "additional_kwargs": {}, "res'
    'ponse_metadata": {}, "type": "human", "name": null, "id": null, "example": false}}',
    r'{"_type": "AIMessage", "_value": {"content": "\u4f60\u597d\uff0c\u8bf7\u95ee\u6211'
    r'\u53ef\u4ee5\u5e2e\u4f60\u70b9\u4ec0\u4e48\u5496\u5561\u5417\uff1f", "additional_kwarg'
    's": {}, "response_metadata": {}, "type": "ai", "name": null, "id": "run-7c97e77c-847b-'
    '4ec9-a874-03317f4f7712", "example": false, "tool_calls": [], "invalid_tool_calls": [],'
    ' "usage_metadata": {"input_tokens": 139, "output_tokens": 14, "total_tokens": 153, "in'
    'put_token_details": {"audio": 0, "cache_read": 0}, "output_token_details": {"audio": 0'
    ', "reasoning": 0}}}}',
]

USAGE: Any = {
    "input_tokens": 139,
    "output_tokens": 14,
    "total_tokens": 153,
    "input_token_details": {"audio": 0, "cache_read": 0},
}
CALLS: Any = [
    {"name": "run", "args": {"code": "1/0", "_type": "x"}, "id": "c1", "type": "tool_call"}
]
BAD_CALLS: Any = [
    {"name": "run", "args": "{", "id": None, "error": "no JSON", "type": "invalid_tool_call"}
]
SHARED: Any = {
    "additional_kwargs": {"refusal": None, "audio": b"\0\1"},
    "response_metadata": {"finish_reason": "stop", "logprobs": [-0.0, 1e16]},
    "name": "ada",
    "id": "run-1",
    "example": False,
    "cached": {"at": (1, 2)},
}
IMAGE: Any = [
    "see",
    {"type": "text", "text": "what is this? \0 \ud800"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
]
FRAME = pd.DataFrame({"a": [1, None], "b": ["x", None]}, index=pd.Index([2, 1], name="i"))

MESSAGES = [
    HumanMessage("hello"),
    HumanMessage(IMAGE, **SHARED),
    HumanMessageChunk(content="hel", **SHARED),
    SystemMessage("be brief", **SHARED),
    SystemMessageChunk(content="be"),
    AIMessage(
        "안녕", tool_calls=CALLS, invalid_tool_calls=BAD_CALLS, usage_metadata=USAGE, **SHARED
    ),
    AIMessage([{"type": "reasoning", "summary": []}, {"type": "text", "text": ""}]),
    AIMessageChunk(
        content="a", tool_call_chunks=[{"name": "f", "args": '{"', "id": "1", "index": 0}]
    )
    + AIMessageChunk(content="b", usage_metadata=USAGE, chunk_position="last"),
    ToolMessage("done", tool_call_id="c1", artifact=FRAME, status="error", **SHARED),
    ToolMessage(["x", {"type": "text", "text": "y"}], tool_call_id="c2", artifact=[np.int8(3)]),
    ToolMessageChunk(content="do", tool_call_id="c1", artifact={"n": np.arange(3)}),
    FunctionMessage(content="42", name="f", id="x"),
    FunctionMessageChunk(content="4", name="f"),
    ChatMessage(content="hi", role="critic", **SHARED),
    ChatMessageChunk(content="h", role="critic"),
    RemoveMessage("run-1"),
]
OTHERS = [
    AddableDict({"messages": [HumanMessage("x")], "_type": 1}),
    AddableDict(),
    AgentAction("run", {"code": "1"}, "calling"),
    AgentActionMessageLog(
        tool="run",
        tool_input="x",
        log="",
        message_log=[AIMessageChunk(content="a"), HumanMessage("b")],
    ),
    AgentStep(action=AgentAction("run", "x", "log"), observation=FRAME),
    AgentStep(
        action=AgentActionMessageLog(tool="t", tool_input={1: 2}, log="l", message_log=[]),
        observation=(1, None),
    ),
    AgentFinish({"output": FRAME}, "done"),
    Document("text", id="d", metadata={"score": np.float32(0.5), 3: "x"}),
    HumanMessage("hello").text,
]


@pytest.mark.parametrize("value", MESSAGES + OTHERS, ids=lambda value: type(value).__name__)
def test_every_field_comes_back(value: Any) -> None:
    again = loads(dumps(value))
    assert_same(again, value)
    assert dumps(again) == dumps(value)
    if isinstance(value, BaseMessage):
        assert list(again.__dict__) == list(type(value).model_fields)


def test_every_message_class_of_langchain_is_known() -> None:
    """A class that a new LangChain brings must not be the first to be noticed in production."""
    known = {type(message) for message in MESSAGES}
    todo, found = [BaseMessage], set()
    while todo:
        cls = todo.pop()
        todo += cls.__subclasses__()
        if getattr(langchain_core.messages, cls.__name__, None) is cls:
            found.add(cls)
    assert found - {BaseMessage, BaseMessageChunk} == known


@pytest.mark.parametrize("row", TUTORIAL_ROWS, ids=["human", "ai"])
def test_the_tutorial_rows_read_back_and_stay_what_they_are(row: str) -> None:
    message = loads(row)
    assert type(message) is (HumanMessage if "Human" in row else AIMessage)
    assert encode(message) == json.loads(row)
    # Their keys' order too, so that adopted rows keep their bytes.
    assert json.dumps(encode(message)) == row


def test_the_tutorial_rows_are_the_messages_they_were() -> None:
    human, ai = map(loads, TUTORIAL_ROWS)
    assert human == HumanMessage("hello", example=False)
    assert ai.content == "你好，请问我可以帮你点什么咖啡吗？"
    assert ai.id == "run-7c97e77c-847b-4ec9-a874-03317f4f7712"
    assert ai.usage_metadata["total_tokens"] == 153
    assert (ai.tool_calls, ai.invalid_tool_calls) == ([], [])


def test_documents_look_like_this() -> None:
    assert encode(ToolMessage("ok", tool_call_id="c1", artifact=(1,), extra="e")) == {
        "_type": "ToolMessage",
        "_value": {
            "content": "ok",
            "additional_kwargs": {},
            "response_metadata": {},
            "type": "tool",
            "name": None,
            "id": None,
            "extra": "e",
            "tool_call_id": "c1",
            "artifact": {"_type": "tuple", "_value": [1]},
            "status": "success",
        },
    }
    assert list(encode(HumanMessage("x"))["_value"]) == list(HumanMessage.model_fields)


def test_nothing_is_validated_into_something_else() -> None:
    """LangChain's validators would rebuild tool calls and turn numbers into text."""
    message = AIMessage("x", additional_kwargs={"tool_calls": []})
    message.additional_kwargs["tool_calls"] = [
        {"id": "1", "function": {"name": "f", "arguments": "{}"}, "type": "function"}
    ]
    message.id = 5  # type: ignore[assignment]
    message.usage_metadata = {"input_tokens": 1.5}  # type: ignore[assignment]
    assert_same(loads(dumps(message)), message)


def test_a_message_can_be_used_after_it_came_back() -> None:
    message = loads(dumps(MESSAGES[5]))
    assert message.model_copy(update={"id": "2"}).id == "2"
    assert message.model_dump() == MESSAGES[5].model_dump()
    assert message.pretty_repr() == MESSAGES[5].pretty_repr()
    assert message.cached == {"at": (1, 2)}
    chunk = loads(dumps(AIMessageChunk(content="a"))) + AIMessageChunk(content="b")
    assert chunk.content == "ab"


def test_an_older_document_takes_the_defaults_of_newer_fields() -> None:
    assert decode({"_type": "AIMessage", "_value": {"content": "x"}}) == AIMessage("x")
    assert decode(
        {"_type": "ToolMessage", "_value": {"content": "x", "tool_call_id": "1"}}
    ) == ToolMessage("x", tool_call_id="1")


contents = st.text() | st.lists(
    st.text() | st.dictionaries(st.text(), st.text() | st.binary() | st.floats()), max_size=3
)


@given(contents, st.dictionaries(st.text(), st.integers() | st.tuples(st.text())))
def test_any_content_comes_back(content: Any, metadata: dict[str, Any]) -> None:
    message = AIMessage(content, response_metadata=metadata)
    assert_same(loads(dumps(message)), message)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (HumanMessage([{"type": "x", "data": object()}]), "$.content[0].data"),
        (ToolMessage("x", tool_call_id="1", artifact=[1, object()]), "$.artifact[1]"),
        (HumanMessage("x", extra=object()), "$.extra"),
        (
            AgentStep(action=AgentAction("t", {"a": object()}, ""), observation=1),
            "$.action.tool_input.a",
        ),
        (AddableDict(a=[object()]), "$.a[0]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_unknown_type_inside_is_refused_with_its_place(message: Any, path: str) -> None:
    with pytest.raises(CodecError) as caught:
        encode({"turn": message})
    assert caught.value.path == path.replace("$", "$.turn", 1)


class MyMessage(HumanMessage):
    pass


class HumanMessageInDisguise(HumanMessage):
    __qualname__ = __name__ = "HumanMessage"
    __module__ = "langchain_core.messages.human"


@pytest.mark.parametrize("cls", [MyMessage, HumanMessageInDisguise])
def test_a_class_of_somebody_elses_is_refused(cls: Any) -> None:
    cls.__name__ = getattr(cls, "__qualname__", cls.__name__)
    with pytest.raises(CodecError):
        encode(cls("x"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content", None),
        ("content", 5),
        ("type", "ai"),
        ("additional_kwargs", []),
        ("name", object()),
    ],
)
def test_what_could_not_be_read_is_not_written(field: str, value: Any) -> None:
    message = HumanMessage("x")
    message.__dict__[field] = value
    with pytest.raises(CodecError) as caught:
        encode(message)
    assert caught.value.path == f"$.{field}"


def test_a_message_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(CodecError, match="content"):
        encode(HumanMessage.model_construct())


# What django-pyhub-ai stored of an agent's tool call: only the outermost object has a tag.
LEGACY_ACTION = {
    "tool": "python",
    "tool_input": {"code": "df"},
    "log": "Invoking python",
    "type": "AgentAction",
    "message_log": [
        {
            "content": "",
            "additional_kwargs": {},
            "response_metadata": {"finish_reason": "tool_calls"},
            "type": "AIMessageChunk",
            "name": None,
            "id": "run-1",
            "example": False,
            "tool_calls": [{"name": "python", "args": {}, "id": "c1", "type": "tool_call"}],
            "invalid_tool_calls": [],
            "usage_metadata": None,
            "tool_call_chunks": [],
        }
    ],
    "tool_call_id": "c1",
}
LEGACY_STEP = {
    "_type": "AgentStep",
    "_value": {
        "action": LEGACY_ACTION,
        "observation": {"_type": "DataFrame", "_value": {"a": {"0": 1, "1": 2}}},
    },
}


def test_a_step_that_django_pyhub_ai_stored_is_read() -> None:
    step = decode(LEGACY_STEP)
    assert isinstance(step, AgentStep)
    assert isinstance(step.action, AgentActionMessageLog)
    assert step.action.tool_input == {"code": "df"}
    (message,) = step.action.message_log
    assert type(message) is AIMessageChunk
    assert message.tool_calls[0]["id"] == "c1"
    pd.testing.assert_frame_equal(step.observation, pd.DataFrame({"a": [1, 2]}, index=["0", "1"]))
    assert_same(loads(dumps(step)), step)
    series = decode({"_type": "Series", "_value": {"0": 1.5}})
    pd.testing.assert_series_equal(series, pd.Series([1.5], index=["0"]))


def test_a_tool_agent_action_keeps_its_class_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """langchain-classic's subclass, played by one of our own: the package is no dependency."""

    class ToolAgentAction(AgentActionMessageLog):
        tool_call_id: str | None

    from turnlog.core.codec import messages

    module = ModuleType("langchain_classic.agents.output_parsers.tools")
    module.ToolAgentAction = ToolAgentAction  # type: ignore[attr-defined]
    ToolAgentAction.__module__ = module.__name__
    for name in ("langchain_classic", "langchain_classic.agents"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "langchain_classic.agents.output_parsers", ModuleType("x"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    messages.load.cache_clear()
    messages._model.cache_clear()
    action = ToolAgentAction(
        tool="t", tool_input="x", log="", message_log=[AIMessage("a")], tool_call_id="c1"
    )
    try:
        assert_same(loads(dumps(action)), action)
        old = _decode_agent(
            "ToolAgentAction", {**LEGACY_ACTION, "type": "AgentActionMessageLog"}, 0
        )
        assert (type(old), old.tool_call_id) == (ToolAgentAction, "c1")
    finally:
        messages.load.cache_clear()
        messages._model.cache_clear()
