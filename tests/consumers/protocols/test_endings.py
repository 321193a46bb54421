"""What an answer is, by each protocol over real HTTP: who gets none is told why."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols import messages as m
from tests.consumers.protocols import responses as r
from tests.consumers.protocols.chats import ask, chat
from tests.consumers.protocols.server import EVENTS, answering, event
from tests.consumers.test_socket import Client
from tests.consumers.test_socket import said as spoken

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow_once]

SPOKEN = r.message(0, "It is ", "noon.")
ENDINGS: dict[str, tuple[Any, list[bytes], str, str, str]] = {
    # name: the client, the stream, the outcome, the kind of failure, what is shown
    "whole": (chats.completions, c.said("It is ", "noon."), "completed", "", "It is noon."),
    "whole, delta null": (
        *(chats.completions, [c.chunk({"content": "noon"}), c.chunk(None, "stop"), c.DONE]),
        *("completed", "", "noon"),
    ),
    "whole, no reason": (
        *(chats.completions, c.said("noon", reason=None, usage=None), "completed", "", "noon"),
    ),
    "whole, unknown reason": (
        *(chats.completions, c.said("noon", reason="eos_token"), "completed", "", "noon"),
    ),
    "cut by length": (chats.completions, c.said("no", reason="length"), "completed", "", "no"),
    "length, no words": (chats.completions, c.said(reason="length"), "failed", "length", ""),
    "length, delta null": (
        *(chats.completions, [c.chunk({"content": ""}), c.chunk(None, "length"), c.DONE]),
        *("failed", "length", ""),
    ),
    "filtered": (chats.completions, c.said(reason="content_filter"), "failed", "filtered", ""),
    "filtered in mid-answer": (
        *(chats.completions, c.said("How to", reason="content_filter"), "failed", "filtered"),
        "How to",
    ),
    "refused": (
        chats.completions,
        [c.chunk({"refusal": "I can't "}), c.chunk({"refusal": "help."}), c.chunk({}, "stop")],
        *("failed", "declined", "I can't help."),
    ),
    "empty": (chats.completions, c.said(), "failed", "empty", ""),
    "reasoning only": (
        *(chats.completions, [c.chunk({"reasoning_content": "hm"}), c.chunk({}, "stop"), c.DONE]),
        *("failed", "empty", ""),
    ),
    "old form of a call": (
        chats.completions,
        [c.chunk({"function_call": {"name": "now", "arguments": "{}"}}), c.chunk({}, "stop")],
        *("failed", "empty", ""),
    ),
    "nothing": (chats.completions, [c.DONE], "failed", "empty", ""),
    "cut off": (
        *(chats.completions, [c.chunk({"content": "It is"})], "failed", "truncated", "It is"),
    ),
    "error in mid-stream": (
        chats.completions,
        [c.chunk({"content": "It"}), event({"error": {"message": "boom", "code": "server_error"}})],
        *("failed", "unavailable", "It"),
    ),
    "cut in a call": (
        chats.completions,
        c.called("now", '{"zone": "K', words="I will look.", reason="length"),
        *("failed", "length", "I will look."),
    ),
    "error as a chunk": (
        chats.completions,
        [c.chunk({"content": "It"}), event({"object": "error", "message": "boom"}), c.DONE],
        *("failed", "unavailable", "It"),
    ),
    "out of resources": (
        *(chats.completions, c.said("It", reason="insufficient_system_resource"), "failed"),
        *("unavailable", "It"),
    ),
    "not streamed": (
        chats.not_streamed,
        [json.dumps(c.WHOLE).encode()],
        *("completed", "", "It is noon."),
    ),
    "with headers": (
        *(chats.with_headers, c.said("noon", reason=None, usage=None), "completed", "", "noon"),
    ),
    "with headers: refused": (
        chats.with_headers,
        [c.chunk({"refusal": "I can't help."}), c.chunk({}, "stop"), c.DONE],
        *("failed", "declined", "I can't help."),
    ),
    "responses: whole": (chats.responses, r.answer(SPOKEN), "completed", "", "It is noon."),
    "responses: with reasoning": (
        *(chats.responses, r.answer(r.thought(0, "hm"), r.message(1, "noon")), "completed", ""),
        "noon",
    ),
    "responses: cut by length": (
        chats.responses,
        r.answer(SPOKEN, status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        *("completed", "", "It is noon."),
    ),
    "responses: length, reasoning only": (
        chats.responses,
        r.answer(
            r.thought(0, "hm"),
            status="incomplete",
            incomplete_details={"reason": "max_output_tokens"},
        ),
        *("failed", "length", ""),
    ),
    "responses: filtered": (
        chats.responses,
        r.answer(status="incomplete", incomplete_details={"reason": "content_filter"}),
        *("failed", "filtered", ""),
    ),
    "responses: failed": (
        chats.responses,
        [
            r.begun(),
            r.sent(
                "response.failed",
                response=r.response(
                    "failed", [], error={"code": "server_error", "message": "It broke."}
                ),
            ),
        ],
        *("failed", "unavailable", ""),
    ),
    "responses: cut off": (
        *(chats.responses, r.answer(SPOKEN)[:-1], "failed", "truncated", "It is noon."),
    ),
    "responses: empty": (chats.responses, r.answer(), "failed", "empty", ""),
    "no UTF-8": (
        chats.completions,
        [c.chunk({"content": "It"}), c.chunk({"content": "X"}).replace(b"X", b"\xff"), c.DONE],
        *("failed", "unreadable", "It"),
    ),
    "no JSON": (
        chats.completions,
        [c.chunk({"content": "It"}), event("{oops"), c.DONE],
        *("failed", "unreadable", "It"),
    ),
    "anthropic: an unknown block": (
        chats.messages,
        m.answer(({"type": "hologram"}, [{"type": "hologram_delta"}]), m.text("noon")),
        *("completed", "", "noon"),
    ),
    "anthropic: whole": (chats.messages, m.answer(m.text("noon")), "completed", "", "noon"),
    "anthropic: with thinking": (
        *(chats.messages, m.answer(m.thinking("hm"), m.text("noon")), "completed", "", "noon"),
    ),
    "anthropic: cut by length": (
        *(chats.messages, m.answer(m.text("no"), reason="max_tokens"), "completed", "", "no"),
    ),
    "anthropic: length, thinking only": (
        *(chats.messages, m.answer(m.thinking("hm"), reason="max_tokens"), "failed", "length", ""),
    ),
    "anthropic: refused": (
        *(chats.messages, m.answer(reason="refusal"), "failed", "declined", ""),
    ),
    "anthropic: empty": (chats.messages, m.answer(), "failed", "empty", ""),
    "anthropic: cut off": (
        *(chats.messages, m.answer(m.text("no"), reason=None), "failed", "truncated", "no"),
    ),
    "anthropic: error in mid-stream": (
        chats.messages,
        [
            *m.answer(m.text("no"), reason=None),
            m.sent("error", error={"type": "overloaded_error", "message": "Overloaded"}),
        ],
        *("failed", "busy", "no"),
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_how_an_answer_ended(conversation: Any, user: Any, name: str) -> None:
    make, script, outcome, kind, shown = ENDINGS[name]
    async with answering(script, kind=None if name == "not streamed" else EVENTS) as model:
        said = await ask(chat(make, model.url), conversation, user, "What time is it?")
    assert (said.outcome, said.kind, said.shown) == (outcome, kind, shown)
    # Whoever gets no answer, or half of one, is told so.
    assert bool(said.error) == (outcome == "failed" or "cut by" in name)
    assert shown in said.log


@pytest.mark.parametrize("name", ["whole", "refused", "cut off"])
async def test_a_chat_without_a_conversation(user: Any, name: str) -> None:
    make, script, outcome, _, shown = ENDINGS[name]
    async with answering(script) as model:
        async with Client(chat(make, model.url), "/ws/chat/?format=json", user) as client:
            await client.send(user_text="Hi", turn_id=(turn_id := str(uuid.uuid4())))
            frames = await client.until_ended()
            assert (frames[-1]["outcome"], spoken(frames)) == (outcome, shown)
            await client.send(user_text="Hi", turn_id=turn_id)  # As after a lost connection.
            await client.send(type="ping")
            await client.until(lambda frame: frame.get("type") == "pong")
        assert len(model.requests) == 1


@pytest.mark.parametrize("name", ["whole", "refused", "cut off", "filtered"])
@pytest.mark.parametrize("wrap", ["bind", "with_retry", "with_fallbacks", "with_config"])
async def test_whatever_wraps_the_model(conversation: Any, user: Any, name: str, wrap: str) -> None:
    _, script, outcome, kind, shown = ENDINGS[name]

    def make(address: str) -> Any:
        llm = chats.completions(address)
        arguments: Any = {
            "bind": {"seed": 7},
            "with_retry": {},
            "with_fallbacks": {"fallbacks": [llm]},
            "with_config": {"tags": ["a"]},
        }[wrap]
        return getattr(llm, wrap)(**arguments)

    async with answering(script) as model:
        said = await ask(chat(make, model.url), conversation, user, "What time is it?")
    assert (said.outcome, said.kind, said.shown) == (outcome, kind, shown)


ERRORS = {
    "too_long": ("400 Bad Request", {"code": "context_length_exceeded", "message": "Too many."}),
    "quota": ("429 Too Many Requests", {"code": "insufficient_quota", "message": "Plan."}),
    "busy": ("429 Too Many Requests", {"code": "rate_limit_exceeded", "message": "Slow down."}),
    "credentials": ("401 Unauthorized", {"code": "invalid_api_key", "message": "No."}),
    "option": (
        "400 Bad Request",
        {"code": "unsupported_parameter", "param": "max_tokens", "message": "Unsupported."},
    ),
    "unknown_model": ("404 Not Found", {"code": "model_not_found", "message": "No such model."}),
    "filtered": ("400 Bad Request", {"code": "content_filter", "message": "Policy."}),
    "refused": ("400 Bad Request", {"code": "invalid_prompt", "message": "No."}),
    "unavailable": ("500 Internal Server Error", {"code": None, "message": "Oops."}),
}


ANTHROPICS = {
    "busy": ("529 Overloaded", {"type": "overloaded_error", "message": "Overloaded"}),
    "credentials": ("401 Unauthorized", {"type": "authentication_error", "message": "No."}),
    "too_long": (
        "400 Bad Request",
        {"type": "invalid_request_error", "message": "prompt is too long: 2 > 1"},
    ),
}


@pytest.mark.parametrize("kind", ANTHROPICS)
async def test_the_hint_fits_anthropics_cause(conversation: Any, user: Any, kind: str) -> None:
    status, error = ANTHROPICS[kind]
    body = json.dumps({"type": "error", "error": error}).encode()
    async with answering([body], status=status, kind=None) as model:
        said = await ask(chat(chats.messages, model.url), conversation, user, "Hi")
    assert (said.outcome, said.kind) == ("failed", kind)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("make", [chats.completions, chats.responses])
async def test_the_hint_fits_the_cause(conversation: Any, user: Any, kind: str, make: Any) -> None:
    status, error = ERRORS[kind]
    async with answering([event({"error": error})[6:]], status=status, kind=None) as model:
        said = await ask(chat(make, model.url), conversation, user, "Hi")
    assert (said.outcome, said.kind) == ("failed", kind)
    assert said.error
