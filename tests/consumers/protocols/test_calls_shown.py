"""What models think, and how their calls ended, is shown live, and the same from the log."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from tests.consumers.protocols import chats
from tests.consumers.protocols import completions as c
from tests.consumers.protocols import messages as m
from tests.consumers.protocols import responses as r
from tests.consumers.protocols.chats import ask, chat
from tests.consumers.protocols.server import ENDLESS, answering
from tests.consumers.test_socket import Client, url
from turnlog.consumers.answering.running_turn import RunningTurn
from turnlog.consumers.page.turn_view import merged, view_of
from turnlog.core import conf
from turnlog.core.asynchronous import in_database_thread
from turnlog.projections.transcript import read_transcript

pytestmark = pytest.mark.django_db(transaction=True)


def clock() -> str:
    """The time."""
    return "noon"


def beside(*words: str) -> list[bytes]:
    return [c.chunk({"reasoning_content": word}) for word in words]


SUMMED = [
    {"type": "summary_text", "text": "One.\n"},
    {"type": "summary_text", "text": "Two."},
]
PROTOCOLS: dict[str, tuple[Any, list[list[bytes]], list[str]]] = {
    "completions": (
        chats.completions,
        [
            [*beside("Let ", "me <b>"), *c.called("clock", words="I look.")],
            [*beside("So."), *c.said("It is ", "noon.")],
        ],
        [
            "thinking Let me <b>",
            "I look.",
            "call 0",
            "tool",
            "thinking So.",
            "It is noon.",
            "call 1",
        ],
    ),
    "responses": (
        chats.responses,
        [
            r.answer(r.thought(0, "Let me"), r.message(1, "I look."), r.call(2, "clock", "{}")),
            r.answer(r.thought(0, "So."), r.thought(1, "Yes."), r.message(2, "It is noon.")),
        ],
        [
            *("thinking Let me", "I look.", "call 0", "tool"),
            *("thinking So.\n\nYes.", "It is noon.", "call 1"),
        ],
    ),
    "anthropic": (
        chats.messages,
        [
            m.answer(
                *(m.thinking("Let me"), m.text("I look."), m.thinking("Hm."), m.call("clock")),
                reason="tool_use",
            ),
            m.answer(m.thinking("So."), m.text("It is ", "noon.")),
        ],
        [
            *("thinking Let me", "I look.", "thinking Hm.", "call 0", "tool"),
            *("thinking So.", "It is noon.", "call 1"),
        ],
    ),
}


def outline(pieces: Any) -> list[str]:
    """What there is of a turn's pieces, in order."""
    found = []
    for piece in merged(pieces):
        match piece["kind"]:
            case "thinking":
                found.append(f"thinking {piece['text']}")
            case "call":
                found.append(f"call {piece['id']}")
            case "tool":
                found.append("tool")
            case _:
                found.append(str(piece["html"]).removeprefix('<p dir="auto">').split("</p>")[0])
    return found


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[RunningTurn]:
    """The turns that this process answers."""
    found: list[RunningTurn] = []
    make = RunningTurn.__init__

    def made(self: RunningTurn, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        found.append(self)

    monkeypatch.setattr(RunningTurn, "__init__", made)
    return found


def from_the_log(conversation: Any, user: Any) -> Any:
    [turn] = read_transcript(conversation.pk, user, limit=5).turns
    return view_of(turn, show_initial_prompt=True)


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_the_log_shows_what_was_shown(
    conversation: Any, user: Any, name: str, running: list[RunningTurn]
) -> None:
    make, scripts, expected = PROTOCOLS[name]
    async with answering(*scripts) as model:
        said = await ask(chat(make, model.url, clock), conversation, user, "What time is it?")
    [turn] = running
    stored = await in_database_thread(from_the_log)(conversation, user)
    assert outline(turn.view().pieces) == expected
    assert merged(stored.pieces) == merged(turn.view().pieces)
    thought = [f for f in said.frames if f.get("role") == "thinking"]
    assert "".join(f["content"] for f in thought if f["id"].endswith("-0")) == expected[0][9:]
    ended = [f for f in said.frames if f.get("type") == "call"]
    assert [f["number"] for f in ended] == [0, 1]
    assert all(f["seconds"] >= 0 and f["reason"] for f in ended)
    assert ended[-1]["output_tokens"] in (5, 9)


async def test_a_call_that_broke_off_keeps_its_thoughts(
    conversation: Any, user: Any, running: list[RunningTurn]
) -> None:
    script = [*m.answer(m.thinking("Let me"), reason=None), ENDLESS]
    async with (
        answering(script) as model,
        Client(chat(chats.messages, model.url), url(conversation), user) as client,
    ):
        await client.until(lambda frame: frame.get("type") == "hello")
        await client.send(user_text="Hi")
        await client.until(lambda frame: frame.get("role") == "thinking")
        await client.send(type="stop", turn_id=str(running[0].turn_id))
        await client.until_ended()
    stored = await in_database_thread(from_the_log)(conversation, user)
    assert outline(stored.pieces) == ["thinking Let me"]


async def test_a_chat_may_show_none_of_it(conversation: Any, user: Any) -> None:
    make, scripts, _ = PROTOCOLS["anthropic"]
    with override_settings(TURNLOG={"SHOW_CALLS": False}):
        async with answering(*scripts) as model:
            said = await ask(chat(make, model.url, clock), conversation, user, "What time is it?")
        stored = await in_database_thread(from_the_log)(conversation, user)
    assert not [f for f in said.frames if f.get("role") == "thinking" or f.get("type") == "call"]
    assert outline(stored.pieces) == ["I look.", "tool", "It is noon."]
    assert "Let me" in said.log
    conf.get.cache_clear()
