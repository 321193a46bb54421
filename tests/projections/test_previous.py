"""What a model is given of what was said before: for any history, what the models' APIs demand."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables.utils import AddableDict

from turnlog.core import codec
from turnlog.events.listed import Listed
from turnlog.events.tool_outputs import tool_outputs
from turnlog.projections.messages import previous
from turnlog.projections.messages.documents import stored_message
from turnlog.projections.messages.previous import NO_RESULT, HistoryRule

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)

IDS = st.sampled_from(["a", "b", "call_1", ""])
TEXTS = st.text(max_size=40)
JSON = st.none() | st.integers() | TEXTS | st.dictionaries(TEXTS, st.integers(), max_size=2)
OUTPUTS = st.one_of(
    st.fixed_dictionaries(
        {
            "tool": st.sampled_from(["clock", "시계", "functions.clock", ""]),
            "tool_call_id": IDS | st.none(),
            "input": st.dictionaries(TEXTS, JSON, max_size=2) | TEXTS | st.none(),
            "output": JSON | st.binary(max_size=4) | st.just(NOW),
            "status": st.sampled_from(["ok", "error"]),
        },
        optional={"text": TEXTS},
    ),
    st.builds(ToolMessage, TEXTS, tool_call_id=IDS),
    st.just(AddableDict(steps=[], messages=[AIMessage("")])),
)
CALLS = st.builds(
    lambda name, args, id_: {"name": name, "args": args, "id": id_, "type": "tool_call"},
    st.sampled_from(["clock", "bad name!"]),
    st.dictionaries(TEXTS, JSON | st.just(NOW), max_size=2),
    IDS | st.none(),
)
INVALID = st.builds(
    lambda id_: {"name": "clock", "args": "{oops", "id": id_, "error": None, "type": "invalid"},
    IDS,
)
TOOL_USE = {"type": "tool_use", "id": "a", "name": "clock", "input": {}}
HUMANS = st.builds(HumanMessage, TEXTS) | st.builds(HumanMessageChunk, TEXTS)
ANSWERS = st.one_of(
    st.builds(
        AIMessage,
        TEXTS,
        tool_calls=st.lists(CALLS, max_size=3),
        invalid_tool_calls=st.lists(INVALID, max_size=1),
    ),
    st.builds(AIMessageChunk, TEXTS),
    st.builds(
        AIMessage,
        st.just(
            [
                {"type": "text", "text": "x"},
                {"type": "tool_use", "id": "a", "name": "clock", "input": {}},
            ]
        ),
    ),
    st.builds(SystemMessage, TEXTS),
)
# A turn as its three parts, any of which may be missing: interrupted, erased or imported ones.
TURNS = st.tuples(st.none() | HUMANS, st.lists(OUTPUTS, max_size=4), st.lists(ANSWERS, max_size=2))
HISTORIES = st.lists(TURNS, max_size=6)


def listed(turns: Sequence[tuple[Any, Sequence[Any], Sequence[Any]]]) -> list[Listed]:
    """The entries of these turns, with versions that have gaps as real ones do."""
    contents = []
    for human, outputs, answers in turns:
        contents += [] if human is None else [codec.dumps(human)]
        contents += [codec.to_json(output.payload()) for output in tool_outputs(outputs)]
        contents += [codec.dumps(answer) for answer in answers]
    turn = uuid.uuid4()
    return [Listed(3 * n + 2, turn, None, content, NOW) for n, content in enumerate(contents)]


def said(human: str, *outputs: Any, answer: Any = "ok") -> tuple[Any, Any, Any]:
    return HumanMessage(human), outputs, [AIMessage(answer) if isinstance(answer, str) else answer]


def require_what_apis_demand(messages: list[Any]) -> None:
    """Each call is followed, before any other role, by one tool message of its id, and no tool
    message stands elsewhere; ids are unique, arguments are JSON objects."""
    asked: set[str] = set()
    seen: set[str] = set()
    for message in convert_to_openai_messages(messages):
        if message["role"] == "tool":
            assert isinstance(message["content"], str)
            asked.remove(message["tool_call_id"])
            continue
        assert not asked
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert call["function"]["name"].replace("-", "_").isidentifier()
            assert call["id"] not in seen
            seen.add(call["id"])
            asked.add(call["id"])
    assert not asked


def documents(messages: Sequence[Any]) -> list[str]:
    return [codec.dumps(message) for message in messages]


@given(HISTORIES, st.booleans())
def test_what_is_given_is_what_the_apis_demand(history: Any, tools: bool) -> None:
    entries = listed(history)
    previous = HistoryRule(tools).of_entries(entries)
    require_what_apis_demand(previous.messages)
    assert documents(HistoryRule(tools).of_entries(entries).messages) == documents(
        previous.messages
    )
    kinds = {type(message) for message in previous.messages}
    allowed = {HumanMessage, HumanMessageChunk, AIMessage, AIMessageChunk}
    assert kinds <= (allowed | {ToolMessage} if tools else allowed)


@given(HISTORIES, st.booleans(), st.integers(0, 200))
def test_trimming_keeps_the_last_whole_turns_that_fit(
    history: Any, tools: bool, max_tokens: int
) -> None:
    entries = listed(history)
    everything = HistoryRule(tools).of_entries(entries).messages
    kept = HistoryRule(tools, max_tokens).of_entries(entries).messages
    require_what_apis_demand(kept)
    assert count_tokens_approximately(kept) <= max_tokens
    assert not kept or isinstance(kept[0], HumanMessage)
    left_out = len(everything) - len(kept)
    assert contents(everything[left_out:]) == contents(kept)
    # Nor is a turn left out that would have fitted.
    earlier = [n for n, m in enumerate(everything[:left_out]) if isinstance(m, HumanMessage)]
    for start in earlier:
        assert count_tokens_approximately(everything[start:]) > max_tokens


@given(HISTORIES, st.booleans(), st.none() | st.integers(0, 200), st.integers(1, 3))
def test_reading_from_the_end_gives_the_same(
    history: Any, tools: bool, max_tokens: int | None, at_first: int
) -> None:
    entries = listed(history)

    def newest(count: int | None) -> Sequence[Listed]:
        return entries if count is None else entries[-count:]

    rule = HistoryRule(tools, max_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(previous, "_AT_FIRST", at_first)
        read, whole = rule.of_newest(newest), rule.of_entries(entries)
    assert documents(read.messages) == documents(whole.messages)
    assert read.described() == whole.described()


def test_a_limited_history_reads_about_what_it_gives() -> None:
    entries = listed([said("hello" * 20)] * 5_000)
    counts: list[int | None] = []

    def newest(count: int | None) -> Sequence[Listed]:
        counts.append(count)
        return entries if count is None else entries[-count:]

    assert len(HistoryRule(max_tokens=1_000).of_newest(newest).messages) > 20
    assert all(count is not None and count <= 128 for count in counts)


def contents(messages: Sequence[Any]) -> list[Any]:
    return [(type(message), message.content) for message in messages]


@given(HISTORIES, st.booleans(), st.none() | st.integers(0, 200))
def test_it_can_be_made_again_from_three_values(
    history: Any, tools: bool, max_tokens: int | None
) -> None:
    entries = listed(history)
    first = HistoryRule(tools, max_tokens).of_entries(entries)
    described = first.described()
    between = [e for e in entries if described["since"] <= e.version <= described["until"]]
    again = HistoryRule(described["tools"]).of_entries(between)
    assert documents(again.messages) == documents(first.messages)
    assert again.described() == described


@given(HISTORIES, st.booleans(), st.none() | st.integers(0, 200))
def test_messages_give_the_same_as_the_entries_that_they_stand_for(
    history: Any, tools: bool, max_tokens: int | None
) -> None:
    rule, entries = HistoryRule(tools, max_tokens), listed(history)
    messages = [stored_message(entry.content) for entry in entries]
    assert documents(rule.of_messages(messages)) == documents(rule.of_entries(entries).messages)


@given(HISTORIES)
def test_no_output_is_lost_and_none_is_given_twice(history: Any) -> None:
    given_texts = [
        message.content
        for message in HistoryRule(tools=True).of_entries(listed(history)).messages
        if isinstance(message, ToolMessage) and message.content != NO_RESULT
    ]
    recorded = [
        output
        for _, items, _ in history
        for output in tool_outputs(items)
        if output.tool_call_id is not None
    ]
    assert len(given_texts) == len(recorded)
    texts = {output.text for output in recorded if isinstance(output.text, str)}
    assert texts <= set(given_texts)


# By example


def test_by_default_only_words_are_given() -> None:
    call = {"name": "clock", "args": {}, "id": "c"}
    answer = AIMessage("b", tool_calls=[call], additional_kwargs={"tool_calls": [], "more": 1})
    output = {"tool": "clock", "tool_call_id": "c", "output": "12:00"}
    previous = HistoryRule().of_entries(listed([said("a", output, answer=answer)]))
    assert previous.messages == [
        HumanMessage("a"),
        AIMessage("b", additional_kwargs={"more": 1}),
    ]
    assert previous.described() == {"tools": False, "since": 2, "until": 8}
    assert HistoryRule().of_entries([]).described() == {"tools": False, "since": 0, "until": 0}


def test_calls_stand_before_their_outputs_and_these_before_the_answer() -> None:
    outputs = [
        {"tool": "clock", "tool_call_id": "x", "input": {"zone": "Seoul"}, "output": "12:00"},
        {"tool": "clock", "tool_call_id": "x", "input": {}, "output": "no", "status": "error"},
    ]
    human, calls, first, second, answer = (
        HistoryRule(tools=True)
        .of_entries(listed([said("when?", *outputs, answer="noon")]))
        .messages
    )
    assert (human.content, answer.content) == ("when?", "noon")
    assert calls.content == ""
    assert [(call["id"], call["args"]) for call in calls.tool_calls] == [
        ("call00001", {"zone": "Seoul"}),
        ("call00002", {}),
    ]
    assert (first.tool_call_id, first.content, first.status) == ("call00001", "12:00", "success")
    assert (second.tool_call_id, second.content, second.status) == ("call00002", "no", "error")


def test_an_answers_own_calls_are_followed_by_their_outputs() -> None:
    answer = AIMessage(
        "I look.",
        tool_calls=[{"name": "clock", "args": {}, "id": id_} for id_ in ("mine", "lost")],
    )
    outputs = [
        {"tool": "clock", "tool_call_id": "mine", "output": "12:00"},
        {"tool": "date", "tool_call_id": "other", "output": "22 November"},
    ]
    messages = (
        HistoryRule(tools=True)
        .of_entries(listed([said("when?", *outputs, answer=answer)]))
        .messages
    )
    assert contents(messages) == [
        (HumanMessage, "when?"),
        (AIMessage, ""),
        (ToolMessage, "22 November"),
        (AIMessage, "I look."),
        (ToolMessage, "12:00"),
        (ToolMessage, NO_RESULT),
    ]
    require_what_apis_demand(messages)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"output": "12:00"}, "12:00"),
        ({"output": {"hour": 12}}, '{"hour":12}'),
        ({"output": NOW}, '{"_type":"datetime","_value":"2026-11-22T00:00:00+00:00"}'),
        ({"output": {"hour": 12}, "text": "noon"}, "noon"),
        ({"output": "kept", "text": ""}, ""),
        ({"output": "half \ud83d\ude00"}, "half 😀"),
        ({"output": 1, "text": "half \ud83d"}, "half \ufffd"),
        ({"output": 1, "text": [{"type": "text", "text": "b"}]}, [{"type": "text", "text": "b"}]),
    ],
)
def test_the_text_of_an_output(item: Any, text: str) -> None:
    item = {"tool": "clock", "tool_call_id": "c", **item}
    messages = HistoryRule(tools=True).of_entries(listed([said("when?", item)])).messages
    assert messages[2].content == text


def test_what_cannot_be_read_here_is_left_out_but_its_text_is_not() -> None:
    unknown = {"_type": "Unheard", "_value": 1}
    entries = listed([said("when?", {"tool": "clock", "tool_call_id": "c", "output": 1})])
    payload = json.loads(entries[1].content) | {"output": unknown, "text": "noon"}
    contents_ = [codec.to_json(payload), codec.to_json(unknown)]
    entries[1:] = [
        Listed(e.version, e.turn_id, None, content, NOW)
        for e, content in zip(entries[1:], contents_, strict=True)
    ]
    rule = HistoryRule(tools=True)
    texts = [message.content for message in rule.of_entries(entries).messages]
    assert texts == ["when?", "", "noon"]
    assert texts == [
        message.content
        for message in rule.of_messages([stored_message(e.content) for e in entries])
    ]
