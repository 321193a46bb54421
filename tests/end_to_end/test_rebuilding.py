"""The message list is thrown away and derived from the log again, by the commands people run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .database import Database
from .model_server import ModelServer
from .project import Project, Server
from .socket_client import chat


def messages(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(
        "SELECT conversation_id, version, turn_id, user_id, actor_id, created_at"
        " FROM turnlog_message ORDER BY conversation_id, version"
    )


def columns(database: Database) -> int:
    """How many columns the table has, for `messages()` must read all but the id."""
    return len(database.rows("SELECT * FROM turnlog_message LIMIT 1")[0])


@pytest.fixture
def lived_in(
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> int:
    """A room where much has happened: answers, a tool, a failure, another person."""
    plain, tool, failing, others = words(), words(), words(), words()
    model_server.answer(plain, "A plain answer, 한국어, 中文, 😀.")
    model_server.call_tool(tool, "look_up_price", {"name": "拿铁"}, then="32.")
    model_server.refuse(failing, 404, "no such model")
    model_server.answer(others, "Somebody else's answer.")
    path = f"/ws/example/chat/{room}/"
    for person, said in (("ada", [plain, tool, failing]), ("bob", [others])):
        with chat(server, path, sessions[person]) as client:
            if person == "bob":  # To him the room is empty: it is opened in his name.
                client.until(lambda frame: frame.get("outcome") == "completed")
            for text in said:
                client.until_ended(client.say(text))
    return room


def test_dropped_and_rebuilt_it_is_the_same(
    project: Project, database: Database, lived_in: int
) -> None:
    before = messages(database)
    assert len(before[0]) == columns(database) - 1
    assert len([row for row in before if row[0] == lived_in]) == 2 + 2 + 3 + 2 + 2
    assert project.manage("check_projections").returncode == 0

    database.rows("DELETE FROM turnlog_message")
    checked = project.manage("check_projections", "--json")
    assert checked.returncode == 1, checked.stderr
    assert str(lived_in) in json.loads(checked.stdout)["differing"]

    rebuilt = project.manage("rebuild_projections")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert messages(database) == before
    assert project.manage("check_projections").returncode == 0

    verified = project.manage("verify_log", "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["ok"] is True


def test_a_changed_row_is_found_and_rebuilt(
    project: Project, database: Database, lived_in: int
) -> None:
    before = messages(database)
    database.rows(
        "UPDATE turnlog_message SET version = 1000"
        f" WHERE conversation_id = {lived_in} AND version = 3"
    )
    assert project.manage("check_projections", "--conversation", str(lived_in)).returncode == 1
    done = project.manage("rebuild_projections", "--conversation", str(lived_in))
    assert done.returncode == 0, done.stderr
    assert messages(database) == before


def test_the_log_itself_refuses_to_be_changed(database: Database, lived_in: int) -> None:
    count = database.rows("SELECT COUNT(*) FROM turnlog_event")
    for statement in ("DELETE FROM turnlog_event", "UPDATE turnlog_event SET version = 99"):
        with pytest.raises(Exception, match="append-only"):
            database.rows(statement)
    assert database.rows("SELECT COUNT(*) FROM turnlog_event") == count
