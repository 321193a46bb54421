"""A turn that another process answers, over a channel layer."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer

from turnlog.consumers import live
from turnlog.consumers.answering import relay
from turnlog.consumers.answering.running_turn import RunningTurn
from turnlog.consumers.answering.steps import TextDelta, ToolStarted
from turnlog.consumers.page.frames import HtmlEncoder, JsonEncoder
from turnlog.consumers.page.progress import Progress
from turnlog.consumers.page.turn_view import TurnView
from turnlog.consumers.socket.follower import Follower
from turnlog.consumers.socket.transcripts import Page

TURN = uuid.uuid4()


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> InMemoryChannelLayer:
    layer = InMemoryChannelLayer()
    monkeypatch.setattr(relay, "shared_layer", lambda: layer)
    return layer


def running_turn() -> RunningTurn:
    return RunningTurn(
        7,
        TURN,
        actor_id=None,
        version=2,
        human_text="hello",
        show_human=True,
        at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    )


async def test_others_are_told_everything_each_time_and_can_ask_to_stop(
    layer: InMemoryChannelLayer,
) -> None:
    turn = running_turn()
    listening = await layer.new_channel()
    await layer.group_add(live.group_of(7), listening)
    turn.task = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
    telling = asyncio.create_task(relay.relay(turn))
    first = await layer.receive(listening)
    assert (first["type"], first["turn_id"], first["text"]) == ("turnlog.progress", str(TURN), "")
    turn.follow(ToolStarted(0, "clock", {}))
    turn.follow(TextDelta("Half *an*"))
    turn.flush()
    second = await layer.receive(listening)
    json.dumps(second)  # Any transport can carry it.
    assert second["text"] == "Half *an*"
    assert "<em>an</em>" in second["tail"]
    assert second["pieces"][0]["name"] == "clock"
    await relay.ask_to_stop(7, uuid.uuid4(), None)
    await relay.ask_to_stop(7, TURN, uuid.uuid4())
    await relay.ask_to_stop(7, TURN, None)
    with pytest.raises(asyncio.CancelledError):
        await turn.task
    telling.cancel()
    await asyncio.wait([telling])


async def test_a_page_elsewhere_follows_what_it_is_told() -> None:
    opened = TurnView(str(TURN), 2, "open", "hello", True, None)
    page = Page([opened], 2, 0, False, 2)
    sent: list[str] = []
    arrived = asyncio.Event()

    class Transcript:
        recorded = True

        async def read(self, **options: Any) -> Page:
            return page

        async def views(self, page: Page) -> AsyncGenerator[Any]:
            for turn in page.turns:
                yield turn

        async def close_abandoned(self) -> bool:
            return False

    async def send(frames: list[str], cursor: int | None = None) -> None:
        sent.extend(frames)
        arrived.set()

    async def never(cleared: int) -> None:
        raise AssertionError("the conversation is not empty")

    listener = live.Listener(7)
    follower = Follower(
        key=7,
        after=0,
        transcripts=Transcript(),  # type: ignore[arg-type]
        encoder=HtmlEncoder(),
        listener=listener,
        send=send,
        when_empty=never,
    )
    following = asyncio.create_task(follower.run())
    await arrived.wait()
    arrived.clear()
    told = {"turn_id": str(TURN), "pieces": [{"kind": "block", "html": "<p>a</p>"}]}
    elsewhere = {"turn_id": "of another turn", "tail": "", "tail_source": "", "text": "x"}
    follower.hear({**told, **elsewhere})
    follower.hear({**told, "tail": "<p>b</p>", "tail_source": "b", "text": "a\n\nb"})
    listener.wake(log_changed=False)
    while "<p>b</p>" not in "".join(sent):
        await arrived.wait()
        arrived.clear()
    assert "<p>a</p>" in sent[-1]
    assert "&lt;" not in sent[-1]
    following.cancel()
    await asyncio.wait([following])
    listener.close()


def test_a_json_client_that_heard_only_some_of_it_gets_the_rest_at_the_end() -> None:
    turn = TurnView(str(TURN), 5, "completed", "hello", True, None, text="Half and whole")
    card = {"kind": "tool", "id": "0", "name": "clock", "input": "", "status": "ok"}
    turn.pieces = [{**card, "output": "12", "seconds": 0.1}]
    heard = Progress()
    heard.note(replace(turn, pieces=[], text="Half"))
    *frames, standing = map(json.loads, JsonEncoder().ended(turn, 5, heard))
    assert [(frame["role"], frame["mode"], frame["content"]) for frame in frames] == [
        ("tool", "overwrite", "12"),
        ("assistant", "append", " and whole"),
    ]
    assert standing["outcome"] == "completed"
    heard.note(replace(turn, text="Other words"))
    [answer, _] = map(json.loads, JsonEncoder().ended(turn, 5, heard))
    assert (answer["mode"], answer["content"]) == ("overwrite", "Half and whole")
    heard.note(turn)
    assert len(JsonEncoder().ended(turn, 5, heard)) == 1


SOUND: dict[str, Any] = {
    "type": "turnlog.progress",
    "turn_id": str(TURN),
    "pieces": [
        {"kind": "block", "html": "<p>a</p>"},
        {"kind": "tool", "id": "1", "name": "clock", "input": "{}"},
        {
            "kind": "tool_result",
            "id": "1",
            "status": "ok",
            "output": "noon",
            "seconds": 0.1,
            "things": [],
        },
    ],
    "tail": "<p>b</p>",
    "tail_source": "b",
    "text": "a\n\nb",
}


def test_what_comes_over_the_layer_is_sanitised() -> None:
    evil = "<p onclick='x()'>a<script>x()</script><img src='https://evil.example'></p>"
    pieces = [{"kind": "block", "html": evil}, *SOUND["pieces"][1:]]
    heard = relay.heard_of({**SOUND, "pieces": pieces, "tail": evil, "text": "half \ud83d"})
    assert heard is not None
    for html in (heard.tail, heard.pieces[0]["html"]):
        assert "a" in html
        assert not any(word in html for word in ("script", "onclick", "evil"))
    heard.text.encode()
    # What a turn itself tells arrives as it is.
    heard = relay.heard_of(SOUND)
    assert heard is not None
    assert (list(heard.pieces), heard.tail, heard.text) == (SOUND["pieces"], "<p>b</p>", "a\n\nb")


@pytest.mark.parametrize(
    "changes",
    [
        {"pieces": None},
        {"pieces": ["text"]},
        {"pieces": [{"kind": "script", "html": "x"}]},
        {"pieces": [{"kind": "block", "html": ["<p>"]}]},
        {"pieces": [{"kind": "block"}]},
        {"pieces": SOUND["pieces"][2:]},
        {"text": 7},
        {"tail": None},
    ],
    ids=str,
)
def test_what_is_no_progress_is_not_shown(changes: dict[str, Any]) -> None:
    assert relay.heard_of({**SOUND, **changes}) is None
