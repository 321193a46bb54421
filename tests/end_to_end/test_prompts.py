"""What the log says that the model was given is what the model server received."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .database import Database, events_of
from .model_server import ModelServer
from .project import Project, Server
from .site.rooms import GREETING, GREETING_ANSWER
from .socket_client import chat

pytestmark = pytest.mark.slow_once

TUTORIAL = "/ws/example/chat/{}/"

PRINT_PROMPT = """
import json
from langchain_core.messages import convert_to_openai_messages
from turnlog.projections import as_of

given = as_of({room}, version={version}).prompt()
print(json.dumps(dict(
    model=given.model,
    parameters=given.parameters,
    messages=convert_to_openai_messages(given.messages),
    tools=given.tools,
)))
"""


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    with project.server("history_chats:application") as server:
        yield server


class Room:
    """A conversation, in which turns are taken and then compared."""

    def __init__(
        self, number: int, server: Server, session: str, project: Project, model: ModelServer
    ) -> None:
        self._number, self._server, self._session = number, server, session
        self._project, self._model = project, model

    def ask(self, path: str, *said: str) -> None:
        with chat(self._server, path.format(self._number), self._session) as client:
            for text in said:
                frames = client.until_ended(client.say(text))
                assert frames[-1]["outcome"] == "completed"

    def require_same(self, said: str, database: Database) -> dict[str, Any]:
        """The log's and the server's account of a turn's first call are one; the server's."""
        body: dict[str, Any] = self._model.requests(said)[0]["body"]
        given = self._prompt(self._started(said, database))
        assert comparable(given["messages"]) == comparable(body["messages"])
        assert given["model"] == body["model"]
        assert given["tools"] == body.get("tools", [])
        assert given["parameters"]["temperature"] == body["temperature"]
        assert given["parameters"]["max_tokens"] == body["max_completion_tokens"]
        return body

    def _started(self, said: str, database: Database) -> int:
        events = events_of(database, self._number)
        [version] = [e.version for e in events if e.type == "TurnStarted" and e.text == said]
        return version

    def _prompt(self, version: int) -> dict[str, Any]:
        code = PRINT_PROMPT.format(room=self._number, version=version)
        done = self._project.manage("shell", "--verbosity", "0", "-c", code)
        assert done.returncode == 0, done.stderr
        prompt: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return prompt


def comparable(messages: list[dict[str, Any]]) -> list[Any]:
    """What a request says, however it is spelled: no text as null or "", arguments as JSON."""
    return [
        (
            message["role"],
            message.get("content") or "",
            [
                (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in message.get("tool_calls") or ()
            ],
            message.get("tool_call_id"),
        )
        for message in messages
    ]


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


@pytest.fixture
def talk(
    room: int,
    server: Server,
    sessions: dict[str, str],
    project: Project,
    model_server: ModelServer,
) -> Room:
    return Room(room, server, sessions["ada"], project, model_server)


def test_a_turn_and_the_next_one(
    talk: Room, database: Database, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = [words(), words()]
    for text in said:
        model_server.answer(text, f"An answer to {text}")
    talk.ask(TUTORIAL, *said)
    first = talk.require_same(said[0], database)
    assert [m["content"] for m in first["messages"][1:]] == [GREETING, GREETING_ANSWER, said[0]]
    assert "중국어" in first["messages"][0]["content"]
    second = talk.require_same(said[1], database)
    assert roles(second) == ["system", *("user", "assistant") * 2, "user"]


@pytest.mark.parametrize("path", [TUTORIAL, "/ws/with-tools/{}/"])
def test_a_turn_with_tools_and_the_next_one(
    path: str,
    talk: Room,
    database: Database,
    model_server: ModelServer,
    words: Callable[[], str],
) -> None:
    first, second = words(), words()
    model_server.call_tool(first, "look_up_price", {"name": "拿铁"}, then="32 yuan.")
    model_server.answer(second, "You are welcome.")
    talk.ask(path, first, second)
    talk.require_same(first, database)
    body = talk.require_same(second, database)
    if path == TUTORIAL:
        assert roles(body)[-3:] == ["user", "assistant", "user"]
        return
    assert roles(body)[-5:] == ["user", "assistant", "tool", "assistant", "user"]
    call, result, answer = body["messages"][-4:-1]
    # What the model read in its turn it reads again, and the server takes the call's form.
    [told] = model_server.requests(first)[1:]
    assert result["content"] == told["body"]["messages"][-1]["content"] == "拿铁: 32元"
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert answer["content"] == "32 yuan."


def test_a_history_that_is_trimmed(
    talk: Room, database: Database, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = [words() for _ in range(3)]
    for text in said:
        model_server.answer(text, "An answer of some length. " * 4)
    talk.ask("/ws/short/{}/", *said)
    body = talk.require_same(said[-1], database)
    assert [m["content"] for m in body["messages"] if m["role"] == "user"] == said[-2:]


def test_a_summary_of_ones_own(
    talk: Room, database: Database, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = [words(), words()]
    for text in said:
        model_server.answer(text, "An answer.")
    talk.ask("/ws/summarising/{}/", *said)
    body = talk.require_same(said[-1], database)
    assert roles(body) == ["system", "system", "user", "assistant", "user"]
    assert body["messages"][1]["content"] == "4 messages came before."


def test_neither_system_prompt_nor_tools(
    talk: Room, database: Database, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.answer(said, "An answer.")
    talk.ask("/ws/plain/{}/", said)
    body = talk.require_same(said, database)
    assert roles(body) == ["user", "assistant", "user"]
    assert (body["temperature"], body["max_completion_tokens"]) == (0.25, 77)
    assert "tools" not in body
