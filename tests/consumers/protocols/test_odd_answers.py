"""An answer that is not quite what OpenAI's protocol says: it stands, or it could not be read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols.chats import ask, chat
from tests.consumers.protocols.server import answering, event
from tests.consumers.protocols.test_tries import failed_calls
from turnlog.core import codec, retrying

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow_once,
    # The client's own, for whatever is not as its protocol says.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]

COUNTS: dict[str, Any] = {
    "a text": "lots",
    "texts": {"prompt_tokens": "many", "completion_tokens": "x", "total_tokens": "y"},
    "fractions": {"prompt_tokens": 1.5, "completion_tokens": 2, "total_tokens": 3.5},
    "null": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    "less than nothing": {"prompt_tokens": -5, "completion_tokens": 1, "total_tokens": -4},
    "odd details": {**c.USAGE, "prompt_tokens_details": {"cached_tokens": "x"}},
    "details that are a text": {**c.USAGE, "completion_tokens_details": "x"},
}


@pytest.mark.parametrize("name", COUNTS)
async def test_an_answer_stands_whatever_its_tokens(
    conversation: Any, user: Any, name: str
) -> None:
    async with answering(c.said("noon", usage=COUNTS[name])) as model:
        said = await ask(chat(chats.completions, model.url), conversation, user, "go")
    assert (said.outcome, said.shown) == ("completed", "noon")
    assert codec.decode(said.events[-1].data.message).usage_metadata is None


async def test_a_count_is_kept(conversation: Any, user: Any) -> None:
    usage = {**c.USAGE, "prompt_tokens_details": {"cached_tokens": 3}, "cost": 0.1}
    async with answering(c.said("noon", usage=usage)) as model:
        said = await ask(chat(chats.completions, model.url), conversation, user, "go")
    assert codec.decode(said.events[-1].data.message).usage_metadata["input_tokens"] == 11


def _call(function: Any) -> bytes:
    return c.chunk({"tool_calls": [{"index": 0, "id": "x", "function": function}]})


ANSWERS: dict[str, list[bytes]] = {
    "a number": [event("3"), c.DONE],
    "null": [event("null"), c.DONE],
    "choices that are a text": [event({"id": "1", "choices": "abc"}), c.DONE],
    "the user's role": [c.chunk({"role": "user", "content": "hi"}), c.DONE],
    "an input that is an object": [_call({"name": "now", "arguments": {"a": 1}}), c.DONE],
    "a call of nothing": [_call(None), c.DONE],
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_is_no_answer_is_unreadable_and_asked_for_again(
    conversation: Any, user: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "CALLING", retrying.Backoff(0.0, 0.0))
    async with answering(ANSWERS[name]) as model:
        said = await ask(chat(chats.completions, model.url, retries=1), conversation, user, "go")
        assert len(model.requests) == 2
    assert (said.kind, failed_calls(said)) == ("unreadable", ["unreadable"])
    assert "could not be read" in said.error
