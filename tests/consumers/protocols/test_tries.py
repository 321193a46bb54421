"""A call that failed is tried again, or another model is called, while nothing has come of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols import messages as m
from tests.consumers.protocols.chats import ask, chat
from tests.consumers.protocols.server import ENDLESS, Script, answering, event
from turnlog.core import retrying

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow_once]

BUSY = [event({"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}})]
CUT = [c.chunk({"content": "It is"})]
NOON = c.said("noon")
FIRST = [c.chunk({"reasoning_content": "hm"}), c.chunk({}, "stop"), c.DONE]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "CALLING", retrying.Backoff(0.0, 0.0))


def clock() -> str:
    """The time."""
    return "noon"


CALLED = c.called("clock")

TRIES: dict[str, tuple[list[Script], int, str, list[str], str, int]] = {
    # name: the streams, retries, outcome, the kinds of the failed calls on record, what is shown,
    # and the requests that the server has had.
    "at the second try": ([BUSY, NOON], 1, "completed", ["busy"], "noon", 2),
    "at the third": ([BUSY, [c.DONE], NOON], 2, "completed", ["busy", "empty"], "noon", 3),
    "the last try's error is the turn's": ([BUSY, BUSY, NOON], 1, "failed", ["busy"], "", 2),
    "not without retries": ([BUSY, NOON], 0, "failed", [], "", 1),
    "not once something was said": ([CUT, NOON], 3, "failed", [], "It is", 1),
    "not once something was thought": ([FIRST, NOON], 3, "failed", [], "", 1),
    "not if the model declined": ([c.said(reason="content_filter")], 3, "failed", [], "", 1),
    "after a tool, the call alone": ([CALLED, BUSY, NOON], 1, "completed", ["busy"], "noon", 3),
}


@pytest.mark.parametrize("name", TRIES)
async def test_a_call_is_tried_again(conversation: Any, user: Any, name: str) -> None:
    scripts, retries, outcome, kinds, shown, requests = TRIES[name]
    ran = []

    def clock() -> str:
        """The time."""
        ran.append(1)
        return "noon"

    async with answering(*scripts) as model:
        consumer = chat(chats.completions, model.url, clock, retries=retries)
        said = await ask(consumer, conversation, user, "What time is it?")
        assert len(model.requests) == requests
    assert (said.outcome, said.shown) == (outcome, shown)
    assert failed_calls(said) == kinds
    assert len(ran) == (CALLED in scripts)


def failed_calls(said: Any) -> list[str]:
    """The kinds of the failed calls that the log has, in order."""
    found = []
    for stored in said.events:
        payload = json.loads(stored.payload)
        if stored.type == "ModelCallFailed":
            found.append(payload["error"]["kind"])
        elif stored.type == "TurnFailed":
            rounds = payload["produced"].get("rounds", [])
            found += [one["error"]["kind"] for one in rounds if "error" in one]
    return found


@pytest.mark.parametrize(
    ("scripts", "outcome", "kinds", "shown"),
    [
        ([BUSY], "completed", ["busy"], "afternoon"),
        (
            [[event({"error": {"code": "invalid_api_key", "message": "No."}})]],
            *("completed", ["credentials"], "afternoon"),
        ),
        ([CUT], "failed", [], "It is"),
        ([c.said(reason="content_filter")], "failed", [], ""),
        ([CALLED, BUSY], "failed", [], ""),
    ],
    ids=["busy", "no key", "said", "filtered", "after a tool"],
)
async def test_another_model_is_called(
    conversation: Any, user: Any, scripts: Any, outcome: str, kinds: list[str], shown: str
) -> None:
    async with answering(*scripts) as first, answering(m.answer(m.text("afternoon"))) as second:
        consumer = chat(
            *(chats.completions, first.url, clock),
            fallback_models=[chats.messages(second.url)],
        )
        said = await ask(consumer, conversation, user, "What time is it?")
        assert len(second.requests) == (outcome == "completed")
        if second.requests:
            assert [tool["name"] for tool in second.requests[0]["tools"]] == ["clock"]
    assert (said.outcome, said.shown) == (outcome, shown)
    assert failed_calls(said) == kinds


async def test_an_answer_that_takes_too_long(conversation: Any, user: Any) -> None:
    async with answering([c.chunk({"content": "It is"}), ENDLESS]) as model:
        consumer = chat(chats.completions, model.url, answer_timeout=0.5)
        said = await ask(consumer, conversation, user, "What time is it?")
        await model.gone.wait()
    assert (said.outcome, said.kind, said.shown) == ("failed", "timeout", "It is")
