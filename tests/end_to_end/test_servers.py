"""ASGI servers that people use: a chat over each, and what becomes of it when the server stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .database import Database, events_of, types_of
from .model_server import ModelServer
from .project import Project, Server
from .socket_client import chat, is_standing, text_of

pytestmark = [pytest.mark.slow, pytest.mark.slow_once]

COMPLETED = ["TurnStarted", "MessageAppended", "MessageAppended"]
ANSWER = "An answer that takes its time, word for word. " * 8


SERVERS: dict[str, dict[str, Any]] = {
    "uvicorn": {"by": "uvicorn"},
    "two workers": {"by": "uvicorn", "arguments": ["--workers", "2"]},
    # It writes one itself, of a connection that it cuts when it stops.
    "hypercorn": {"by": "hypercorn", "tracebacks": True},
    "daphne": {"by": "daphne"},
}


@pytest.fixture(scope="module", params=SERVERS)
def server(project: Project, request: pytest.FixtureRequest) -> Iterator[Server]:
    with project.server(**SERVERS[request.param]) as server:
        yield server


@pytest.fixture
def path(room: int) -> str:
    return f"/ws/example/chat/{room}/"


def test_an_answer_streams_and_is_recorded(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    path: str,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=10)
    with chat(server, path, sessions["ada"]) as client:
        turn_id = client.say(said)
        frames = client.until_ended(turn_id)
    assert frames[-1]["outcome"] == "completed"
    assert text_of(frames, turn_id).strip() == ANSWER.strip()
    assert len([frame for frame in frames if frame.get("role") == "assistant"]) > 2
    assert types_of(events_of(database, room, turn_id)) == COMPLETED


def test_an_answer_can_be_stopped(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    path: str,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=200)
    with chat(server, path, sessions["ada"]) as client:
        turn_id = client.say(said)
        client.until_text(turn_id, "An")
        client.send(type="stop", turn_id=turn_id)
        frames = client.until_ended(turn_id)
    assert frames[-1]["outcome"] == "cancelled"
    answer = events_of(database, room, turn_id)[-1]
    assert ANSWER.startswith(answer.text)
    assert answer.metadata["outcome"] == "cancelled"


def test_an_answer_goes_on_when_its_client_is_gone(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    path: str,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=60)
    with chat(server, path, sessions["ada"]) as client:
        turn_id = client.say(said)
        client.until_text(turn_id, "An")
        client.vanish()
    with chat(server, path, sessions["ada"]) as client:
        ended = client.until(
            lambda frame: is_standing(frame, turn_id) and frame["outcome"] != "open"
        )
    assert ended[-1]["outcome"] == "completed"
    assert events_of(database, room, turn_id)[-1].text == ANSWER


def test_a_turn_ends_in_the_log_although_the_server_is_stopped(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    path: str,
    words: Callable[[], str],
    request: pytest.FixtureRequest,
) -> None:
    """daphne does not speak the lifespan protocol: its turns are closed by whoever comes next."""
    said = words()
    model_server.answer(said, ANSWER, pace=60)
    with chat(server, path, sessions["ada"]) as client:
        turn_id = client.say(said)
        client.until_text(turn_id, "An answer")
        server.terminate()
    server.start()
    with chat(server, path, sessions["ada"]) as client:
        frames = client.until(
            lambda frame: is_standing(frame, turn_id) and frame["outcome"] != "open"
        )
    events = events_of(database, room, turn_id)
    if request.node.callspec.params["server"] == "daphne":
        assert frames[-1]["outcome"] == "interrupted"
        assert types_of(events) == ["TurnStarted", "TurnFailed"]
    else:
        assert frames[-1]["outcome"] == "completed"
        assert types_of(events) == COMPLETED
        assert events[-1].text == ANSWER
    assert events[0].text == said
