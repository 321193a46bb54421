"""What the server does when it starts and before it stops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from turnlog.consumers.answering import tasks
from turnlog.consumers.lifespan import lifespan
from turnlog.projections.models import Checkpoint


@pytest.mark.django_db(transaction=True)
async def test_a_server_that_starts_warns_of_stale_rows(caplog: pytest.LogCaptureFixture) -> None:
    await Checkpoint.objects.aupdate_or_create(
        name="messages", defaults={"version": 7, "inline": True}
    )
    server = ApplicationCommunicator(lifespan, {"type": "lifespan"})
    await server.send_input({"type": "lifespan.startup"})
    assert await server.receive_output() == {"type": "lifespan.startup.complete"}
    await asyncio.gather(*tasks.beside)
    assert "projection 'messages' is version 1, but its rows were made by version 7" in caplog.text
    await server.send_input({"type": "lifespan.shutdown"})
    assert await server.receive_output() == {"type": "lifespan.shutdown.complete"}


@pytest.mark.django_db(transaction=True)
async def test_the_server_waits_for_running_turns_before_it_goes(settings: Any) -> None:
    order: list[str] = []
    release = asyncio.Event()

    async def turn() -> None:
        await release.wait()
        order.append("turn")

    tasks.spawn(turn(), tasks.turns)
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        message = next(messages)
        if message["type"] == "lifespan.shutdown":
            asyncio.get_running_loop().call_soon(release.set)
        return message

    async def send(message: Any) -> None:
        order.append(message["type"])

    await lifespan({"type": "lifespan"}, receive, send)
    await asyncio.gather(*tasks.beside)
    assert order == ["lifespan.startup.complete", "turn", "lifespan.shutdown.complete"]
