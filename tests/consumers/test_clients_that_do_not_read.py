"""Whoever does not read, or has left, costs little, and not for long."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from tests.consumers.test_limits import open_chat
from tests.consumers.test_socket import Client, url
from turnlog.consumers import live
from turnlog.consumers.page import room
from turnlog.consumers.page.frames import JsonEncoder
from turnlog.consumers.page.turn_view import TurnView
from turnlog.consumers.socket import limits, websocket
from turnlog.consumers.socket.follower import Follower
from turnlog.consumers.socket.transcripts import Page


class Connection:
    """A server's connection, as uvicorn has one: ASGI's `receive` is its method."""

    def __init__(self, *texts: str) -> None:
        self.transport = self
        self.given: list[dict[str, Any]] = [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": text} for text in texts),
        ]
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    async def receive(self) -> Any:
        if self.given:
            return self.given.pop(0)
        await asyncio.Event().wait()


async def run(client: Client, connection: Connection, send: Any) -> None:
    communicator = client.communicator
    await communicator.application(communicator.scope, connection.receive, send)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("unread", ["websocket.send", "websocket.close"])
async def test_the_connection_of_a_client_that_does_not_read_is_dropped(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch, unread: str
) -> None:
    """With what waits for it. It ends even if what it does not read is that it was closed."""
    monkeypatch.setattr(websocket, "SEND_SECONDS", 0.05)
    consumer = open_chat()
    connection = Connection('{"user_text": "hello"}')

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            monkeypatch.setattr(websocket.access, "session_is_alive", lambda scope: False)
        if message["type"] == unread:
            await asyncio.Event().wait()

    await asyncio.wait_for(run(Client(consumer, url(conversation), user), connection, send), 10)
    assert connection.aborted
    assert not limits._shares
    assert not live._listeners


@pytest.mark.django_db(transaction=True)
async def test_no_request_is_answered_to_a_client_that_has_left(
    conversation: Any, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may have hundreds of them, and only then tell that the client left."""
    asked = 0

    async def earlier(self: Any, before: int) -> None:
        nonlocal asked
        asked += 1
        await self._send(["{}"])

    monkeypatch.setattr(Follower, "earlier", earlier)
    connection = Connection(*['{"type": "earlier", "before": 9}'] * 30)

    async def send(message: Any) -> None:
        if message.get("text") == "{}":
            raise ConnectionResetError

    await asyncio.wait_for(run(Client(open_chat(), url(conversation), user), connection, send), 10)
    assert asked == 1
    assert not limits._shares


async def test_one_thing_at_a_time_is_made_for_a_client() -> None:
    making, reading = 0, asyncio.Event()
    most = 0

    class Transcript:
        recorded = True

        async def read(self, **options: Any) -> Page:
            turns = [TurnView(str(uuid.uuid4()), 2, "completed", "hello", True, None)] * 3
            return Page(turns, 9, 0, False, 2)

        async def views(self, page: Page) -> AsyncGenerator[TurnView]:
            nonlocal making, most
            for turn in page.turns:
                making += 1
                most = max(most, making)
                yield turn

    async def send(frames: list[str], cursor: int | None = None) -> None:
        nonlocal making
        await reading.wait()
        making = 0

    listener = live.Listener(7)
    follower = Follower(
        key=7,
        after=0,
        transcripts=Transcript(),  # type: ignore[arg-type]
        encoder=JsonEncoder(),
        listener=listener,
        send=send,
        when_empty=send,  # type: ignore[arg-type]
    )
    following = asyncio.create_task(follower.run())
    asking = asyncio.create_task(follower.earlier(9))
    for _ in range(20):
        await asyncio.sleep(0)
    assert most == 1
    reading.set()
    await asking
    assert most == 3  # One frame of earlier turns has them all.
    following.cancel()
    await asyncio.wait([following])
    listener.close()


@pytest.mark.django_db(transaction=True)
async def test_a_turn_with_hundreds_of_large_outputs_is_shown_in_bounds(
    conversation: Any, user: Any
) -> None:
    """The first ones as far as there is room, and of each other one the beginning."""
    outputs = [
        {
            "tool": "look",
            "tool_call_id": f"c{number}",
            "input": {"number": number, "text": "x" * 30_000},
            "output": f"{number} " + "y" * 30_000,
            "text": None,
            "status": "ok",
            "duration": 0.1,
        }
        for number in range(200)
    ]
    await conversation.arecord_turn("Look!", AIMessage("There."), outputs, user=user)
    async with Client(open_chat(), url(conversation), user) as client:
        frames = await client.until(lambda frame: frame.get("type") == "turn")
    cards = [frame for frame in frames if frame.get("role") == "tool"]
    assert [card["content"].split()[0] for card in cards] == list(map(str, range(200)))
    sizes = [len(card["content"]) + len(card["input"]) for card in cards]
    assert sizes[0] > 2 * room.LONGEST
    assert sum(sizes) <= room.MOST + 2 * len(cards) * (room.LEAST + 2)
    assert len(json.dumps(frames)) < 500_000
