"""Every call of the model is on record: what it gave, and what it had been given."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command

from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols import messages as m
from tests.consumers.protocols import responses as r
from tests.consumers.protocols.chats import ask, chat
from tests.consumers.protocols.server import answering
from tests.consumers.test_socket import Client, url
from turnlog.consumers.mixins.llm import model_name_of, parameters_of
from turnlog.core import codec
from turnlog.models import ConversationMessage
from turnlog.projections import as_of
from turnlog.projections.models import Usage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow_once]

FIRST, SECOND, LAST = "Let me look at the clock.", "Again.", "It is noon."


def now(zone: str = "UTC") -> dict[str, Any]:
    """The time."""
    return {"hour": 12, "zone": zone}


def picture() -> list[Any]:
    """A picture of the clock."""
    return [{"type": "text", "text": "a clock"}]


PROTOCOLS: dict[str, tuple[Any, list[list[bytes]], str]] = {
    # The client, the streams of three calls, and what only the provider's own form has.
    "completions": (
        chats.completions,
        [
            [
                c.chunk({"reasoning_content": "hm"}),
                *c.called("now", '{"zone": "KST"}', words=FIRST),
            ],
            c.called("picture", words=SECOND),
            [c.chunk({"reasoning_content": "hm"}), *c.said(LAST)],
        ],
        '"reasoning_content":"hm"',
    ),
    "responses": (
        chats.responses,
        [
            r.answer(r.thought(0, "hm"), r.message(1, FIRST), r.call(2, "now", "{}")),
            r.answer(r.thought(0, "hm"), r.message(1, SECOND), r.call(2, "picture", "{}")),
            r.answer(r.message(0, LAST)),
        ],
        '"encrypted_content":"c2l"',
    ),
    "anthropic": (
        chats.messages,
        [
            m.answer(m.thinking("hm"), m.text(FIRST), m.call("now"), reason="tool_use"),
            m.answer(m.text(SECOND), m.call("picture"), reason="tool_use"),
            m.answer(m.text(LAST)),
        ],
        '"signature":"c2lnbmF0dXJl"',
    ),
}


def payload(llm: Any, messages: Any) -> Any:
    """What a client sends for these messages."""
    made = llm._get_request_payload(messages)
    return [made.get("system"), made.get("input", made.get("messages"))]


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_each_call_is_on_record(conversation: Any, user: Any, name: str) -> None:
    make, scripts, own = PROTOCOLS[name]
    async with answering(*scripts) as model:
        consumer = chat(
            make, model.url, now, picture, llm_system_prompt_template="Be brief \ud83d."
        )
        said = await ask(consumer, conversation, user, "What time is it?")
        async with Client(consumer, url(conversation), user) as client:
            frames = await client.until(lambda frame: frame.get("type") == "turn")
    text = f"{FIRST}\n\n{SECOND}\n\n{LAST}"
    assert (said.outcome, said.shown) == ("completed", text)
    assert [f["content"] for f in frames if f.get("role") == "assistant"] == [text]
    [_, *_, answer] = await ConversationMessage.objects.aget_histories(conversation, user)
    assert answer.content == text
    calls = [event for event in said.events if event.type == "ModelCallRecorded"]
    assert len(calls) == 3
    assert own in said.log
    given = [await sync_to_async(_prompt)(conversation, event.version) for event in calls]
    for received, prompt in zip(model.requests, given, strict=True):
        made = payload(make(model.url), prompt.messages)
        assert made == [received.get("system"), received.get("input", received.get("messages"))]
    # Each call's own message, given back to the provider as it came.
    assert [event.data.message for event in calls[:2]] == [
        codec.encode(given[2].messages[2]),
        codec.encode(given[2].messages[4]),
    ]


def _prompt(conversation: Any, version: int) -> Any:
    return as_of(conversation, version).prompt()


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_a_turn_that_fails_keeps_its_calls(conversation: Any, user: Any, name: str) -> None:
    make, scripts, own = PROTOCOLS[name]
    async with answering(scripts[0], scripts[0][:-2]) as model:
        consumer = chat(make, model.url, now)
        said = await ask(consumer, conversation, user, "What time is it?")
    assert said.outcome == "failed"
    assert own in said.log
    # Of the call that did not end, too.
    for number, received in enumerate(model.requests, 1):
        given = await sync_to_async(lambda number=number: as_of(conversation).prompt(number))()
        assert payload(make(model.url), given.messages)[1] == received.get(
            "input", received.get("messages")
        )
    last = await sync_to_async(lambda: as_of(conversation).prompt())()
    assert last.call == len(model.requests) == 2


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_the_only_call_is_the_answer_itself(conversation: Any, user: Any, name: str) -> None:
    make, scripts, _ = PROTOCOLS[name]
    async with answering(scripts[-1]) as model:
        said = await ask(chat(make, model.url), conversation, user, "What time is it?")
    types = [event.type for event in said.events]
    assert types == ["TurnStarted", "MessageAppended", "MessageAppended"]


@pytest.mark.parametrize("before", PROTOCOLS)
@pytest.mark.parametrize("after", PROTOCOLS)
@pytest.mark.parametrize("tools", [False, True])
async def test_another_provider_goes_on(
    conversation: Any, user: Any, before: str, after: str, tools: bool
) -> None:
    make, scripts, _ = PROTOCOLS[before]
    then, answers, _ = PROTOCOLS[after]
    async with answering(*scripts) as model:
        await ask(chat(make, model.url, now, picture), conversation, user, "What time is it?")
    async with answering(answers[-1]) as model:
        consumer = chat(then, model.url, llm_history_tools=tools)
        said = await ask(consumer, conversation, user, "And now?")
        [body] = model.requests
    assert said.outcome == "completed"
    sent = str(body)
    assert LAST in sent
    # Reasoning, signatures and ids are only good for who gave them.
    for private in ("c2l", "hm", "signature", "rs_0", "msg_", "fc_", "toolu_", "resp_"):
        assert private not in sent
    assert ("a clock" in sent) == tools


IN_SEOUL, IN_OSLO = '{"zone": "Seoul"}', '{"zone": "Oslo"}'
TWO_CALLS: dict[str, tuple[Any, list[bytes], list[bytes], list[str]]] = {
    "responses": (
        chats.responses,
        r.answer(r.thought(0, "hm"), r.call(1, "now", IN_SEOUL), r.call(2, "now", IN_OSLO)),
        r.answer(r.message(0, LAST)),
        ["call_1", "call_2"],
    ),
    "anthropic": (
        chats.messages,
        m.answer(
            *(m.thinking("hm"), m.call("now", IN_SEOUL), m.call("now", IN_OSLO, "toolu_2")),
            reason="tool_use",
        ),
        m.answer(m.text(LAST)),
        ["toolu_1", "toolu_2"],
    ),
}


@pytest.mark.parametrize("name", TWO_CALLS)
async def test_two_calls_of_one_round(conversation: Any, user: Any, name: str) -> None:
    make, asking, ending, ids = TWO_CALLS[name]
    async with answering(asking, ending) as model:
        said = await ask(chat(make, model.url, now), conversation, user, "And in Seoul, and Oslo?")
        sent = str(model.requests[1])
    assert (said.outcome, said.shown) == ("completed", LAST)
    outputs = [e.data for e in said.events if e.type == "ToolOutputRecorded"]
    assert [output.tool_call_id for output in outputs] == ids
    # Each result is told under its call's id, in the order of the calls, with what was thought.
    results = [sent.rindex(id_) for id_ in ids]
    assert results == sorted(results)
    assert "hm" in sent


USED = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
TWICE = {
    "two last chunks": [
        *(c.chunk({"content": "Hi"}), c.chunk({}, "stop")),
        *(c.chunk({"content": ""}, "stop", usage=USED), c.DONE),
    ],
    "in each chunk": [
        c.chunk({"content": "H"}, usage={**USED, "completion_tokens": 2, "total_tokens": 13}),
        *(c.chunk({"content": "i"}, "stop", usage=USED), c.chunk(choices=[], usage=USED), c.DONE),
    ],
}


@pytest.mark.parametrize("script", TWICE)
async def test_names_and_counts_are_recorded_once(
    conversation: Any, user: Any, script: str
) -> None:
    async with answering(TWICE[script]) as model:
        await ask(chat(chats.completions, model.url), conversation, user, "Hi")
    await sync_to_async(call_command)("run_projections", once=True, verbosity=0)
    rows = await sync_to_async(lambda: [*Usage.objects.by_model()])()
    assert [(row["model"], row["total_tokens"]) for row in rows] == [("gpt-4o", 16)]


async def test_what_was_bound_is_sent_with_tools_and_recorded(conversation: Any, user: Any) -> None:
    def make(address: str) -> Any:
        llm = chats.completions(address, temperature=0.5)
        return llm.bind(seed=7, stop=["END"], parallel_tool_calls=False).with_retry()

    async with answering(c.said("ok")) as model:
        said = await ask(chat(make, model.url, now), conversation, user, "Hi")
        [body] = model.requests
    recorded = said.events[0].data.parameters
    for name in ("seed", "stop", "parallel_tool_calls", "temperature"):
        assert body[name] == recorded[name]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["now"]


def test_the_first_of_several_models_is_named() -> None:
    one, other = chats.completions("http://one"), chats.messages("http://other")
    both = one.bind(seed=1).with_fallbacks([other])
    assert model_name_of(both) == "gpt-4o"
    assert model_name_of(other.bind(model="claude-2")) == "claude-2"
    assert parameters_of(both)["seed"] == 1
