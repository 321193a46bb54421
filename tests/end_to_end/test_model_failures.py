"""What can go wrong with a model server: one clear sentence, and nothing is lost or given away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import API_KEY
from .database import Database, events_of, types_of
from .model_server import ModelServer
from .places import free_port
from .project import Project, Server
from .scripted_model import ScriptedModel, delta
from .socket_client import chat, text_of

pytestmark = pytest.mark.slow_once

Prepare = Callable[[ModelServer, ScriptedModel, str], None]
USUAL, UNREACHABLE, IMPATIENT, SCRIPTED = (
    *("/ws/example/chat/{}/", "/ws/unreachable/{}/", "/ws/impatient/{}/", "/ws/scripted/{}/"),
)
SECRET_ANSWER = "half of a confidential answer"
# The first words come at once, the next ones only after seconds.
STALLING = {"ttftMs": 0, "interChunkDelaysMs": [10, 3000, 3000], "totalDurationMs": 6010}


@dataclass(frozen=True)
class Failure:
    """A way to fail: how the model server is told, and what the person is told."""

    prepare: Prepare
    sentence: str
    path: str = USUAL
    partial: str = ""


def refused_with(status: int, message: str) -> Prepare:
    return lambda aimock, scripted, said: aimock.refuse(said, status, message.format(said=said))


def answering(**more: Any) -> Prepare:
    text = f"{SECRET_ANSWER} and the rest"
    return lambda aimock, scripted, said: aimock.answer(said, text, **more)


def broken_json(aimock: ModelServer, scripted: ScriptedModel, said: str) -> None:
    scripted.say(delta(SECRET_ANSWER), b'data: {"choices": [{"del\n\n')


FAILURES = {
    "401": Failure(
        refused_with(401, f"Incorrect API key provided: {API_KEY}."),
        "The model did not accept this site's key, or there is none.",
    ),
    "404": Failure(
        refused_with(404, "The model `gpt-4o-mini` does not exist"),
        "The model server does not know this model or address.",
    ),
    "429": Failure(refused_with(429, "Slow down: {said}"), "The model is busy right now."),
    "500": Failure(refused_with(500, "It failed on {said}"), "The model has a problem right now."),
    "malformed": Failure(answering(chaos={"malformedRate": 1}), "The model"),
    "malformed in mid-stream": Failure(broken_json, "The model", SCRIPTED, SECRET_ANSWER),
    "cut in mid-stream": Failure(
        answering(chunk=len(SECRET_ANSWER), recordedTimings=STALLING, disconnectAfterMs=500),
        "The model's answer broke off.",
        partial=SECRET_ANSWER,
    ),
    "ended without an end": Failure(
        lambda aimock, scripted, said: scripted.say(delta(SECRET_ANSWER)),
        "The model's answer broke off.",
        SCRIPTED,
        SECRET_ANSWER,
    ),
    "cut at once": Failure(
        answering(chaos={"disconnectRate": 1}), "The model cannot be reached right now."
    ),
    "nothing listening": Failure(
        lambda aimock, scripted, said: None, "The model cannot be reached right now.", UNREACHABLE
    ),
    "timeout": Failure(answering(pace=3000), "The model took too long to answer.", IMPATIENT),
    "timeout in mid-stream": Failure(
        answering(chunk=len(SECRET_ANSWER), recordedTimings=STALLING),
        "The model took too long to answer.",
        IMPATIENT,
        SECRET_ANSWER,
    ),
}


@pytest.fixture(scope="module")
def server(project: Project, scripted_model: ScriptedModel) -> Iterator[Server]:
    urls = {
        "UNREACHABLE_URL": f"http://127.0.0.1:{free_port()}/v1",
        "SCRIPTED_URL": scripted_model.url,
    }
    with project.server("more_chats:application", **urls) as server:
        yield server


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_recorded_and_survived(
    name: str,
    server: Server,
    database: Database,
    model_server: ModelServer,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
) -> None:
    failure = FAILURES[name]
    said = f"Something confidential about {name}!"
    failure.prepare(model_server, scripted_model, said)
    log_before = len(server.log)
    with chat(server, failure.path.format(room), sessions["ada"]) as client:
        turn_id = client.say(said)
        frames = client.until_ended(turn_id)
        standing = frames[-1]
        assert standing["outcome"] == "failed"
        assert text_of(frames, turn_id) == failure.partial
        assert standing["error"].startswith(failure.sentence)
        assert len(re.findall(r"[.!?](?: |$)", standing["error"])) <= 2
        assert API_KEY not in str(frames)
        # Another one on the same socket, with another model server for those that have none.
        client.until_quiet()
        if failure.path == USUAL:
            model_server.answer(f"And now, after {name}?", "All is well.")
            frames = client.until_ended(client.say(f"And now, after {name}?"))
            assert frames[-1]["outcome"] == "completed"
        else:
            frames = client.until_ended(client.say("And again?"))
            assert frames[-1]["outcome"] == "failed"

    started, failed = events_of(database, room, turn_id)
    assert types_of([started, failed]) == ["TurnStarted", "TurnFailed"]
    assert started.text == said
    assert failed.payload["outcome"] == "failed"
    assert failed.produced == failure.partial
    assert failed.payload["error"]["type"]
    assert API_KEY not in str(failed.payload)

    written = server.log[log_before:]
    assert turn_id in written
    assert said not in written
    assert SECRET_ANSWER not in written
    assert API_KEY not in server.log
    assert "Traceback" not in written


def test_every_failure_is_told_in_the_readers_language(
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.refuse(said, 404, "no such model")
    path = USUAL.format(room)
    told = {}
    with chat(server, path, sessions["ada"], language="ko") as client:
        told["ko"] = client.until_ended(client.say(said))[-1]["error"]
    with chat(server, path, sessions["ada"], language="en", after=3) as client:
        frames = client.until(lambda frame: frame.get("outcome") == "failed")
        told["en"] = frames[-1]["error"]
    assert re.search("[가-힣]", told["ko"])
    assert told["en"].isascii()
