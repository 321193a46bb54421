"""ASGI servers that people use: a chat over HTTP on each, as curl would have it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .database import Database, events_of, types_of
from .model_server import ModelServer
from .project import Project, Server
from .test_servers import ANSWER, COMPLETED, SERVERS

pytestmark = [pytest.mark.slow, pytest.mark.slow_once]

APPLICATION = "http_chats:application"
SSE = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module", params=SERVERS)
def server(project: Project, request: pytest.FixtureRequest) -> Iterator[Server]:
    with project.server(APPLICATION, **SERVERS[request.param]) as server:
        yield server


def client_of(server: Server, session: str) -> httpx.Client:
    """Somebody with a session and a CSRF token; any will do, as long as it is sent twice."""
    cookies = {"sessionid": session, "csrftoken": "a" * 32}
    return httpx.Client(
        base_url=server.url,
        cookies=cookies,
        headers={"X-CSRFToken": "a" * 32},
        trust_env=False,
        timeout=30,
    )


def frames_in(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_an_answer_streams_and_is_recorded(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said, turn_id, path = words(), str(uuid.uuid4()), f"/http/{room}/?format=json"
    model_server.answer(said, ANSWER, pace=10)
    message = {"user_text": said, "turn_id": turn_id}
    text = ""
    with client_of(server, sessions["ada"]) as client:
        with client.stream("GET", path, headers=SSE) as stream:
            frames = frames_in(stream.iter_lines())
            assert next(frames)["type"] == "hello"
            told = client.post(path, json=message)
            assert (told.status_code, told.json()["turn_id"]) == (202, turn_id)
            for frame in frames:
                if frame.get("id") == turn_id and frame.get("role") == "assistant":
                    text = (
                        frame["content"]
                        if frame["mode"] == "overwrite"
                        else text + frame["content"]
                    )
                if frame.get("id") == turn_id and frame.get("outcome", "open") != "open":
                    break
        assert text.strip() == ANSWER.strip()
        with client.stream("POST", path, headers=SSE, json=message) as again:
            assert [f.get("reason") for f in frames_in(again.iter_lines())][-1] == "done"
    assert types_of(events_of(database, room, turn_id)) == COMPLETED


def test_a_server_stops_while_a_stream_is_open(
    project: Project, sessions: dict[str, str], room: int
) -> None:
    """It would wait for it, and not let running answers finish meanwhile."""
    patient = ["--timeout-graceful-shutdown", "600"]
    with (
        project.server(APPLICATION, arguments=patient) as server,
        client_of(server, sessions["ada"]) as client,
        client.stream("GET", f"/http/{room}/?format=json", headers=SSE) as stream,
    ):
        frames = frames_in(stream.iter_lines())
        next(frames)
        server.terminate()
        assert list(frames)[-1]["reason"] == "later"
