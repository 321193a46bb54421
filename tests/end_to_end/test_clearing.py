"""conversation.clear(): people and models see an empty conversation, the log keeps everything."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from .browser import chat_page
from .database import Database, events_of, types_of
from .model_server import ModelServer
from .project import Project, Server
from .socket_client import Chat, chat

pytestmark = pytest.mark.slow_once

BEFORE = ["ConversationOpened", "MessageAppended", "MessageAppended"]


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    with project.server("more_chats:application") as server:
        yield server


def clear_within(server: Server, room: int, session: str) -> None:
    """As a view of the project would."""
    headers = {"Cookie": f"sessionid={session}"}
    request = urllib.request.Request(f"{server.url}/clear/{room}/", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.read() == b"cleared"


def clear_elsewhere(project: Project, room: int) -> None:
    """As somebody at a shell would: in another process than the server's."""
    code = f"from turnlog.models import Conversation; Conversation.objects.get(pk={room}).clear()"
    done = project.manage("shell", "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.browser
def test_an_open_page_is_emptied_and_nothing_is_lost(
    browser: Browser,
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said, afresh = words(), words()
    model_server.answer(said, "Soon to be hidden.")
    model_server.answer(afresh, "A fresh start.")
    with chat_page(browser, server, room, sessions["ada"]) as page:
        page.say(said)
        page.expect_last("completed", said)
        before = events_of(database, room)
        clear_within(server, room, sessions["ada"])
        expect(page.turns).to_have_count(0)
        expect(page.page.locator(".turnlog-empty")).to_be_visible()
        assert events_of(database, room)[:-1] == before
        assert events_of(database, room)[-1].type == "ConversationCleared"
        assert events_of(database, room)[-1].payload == {"reason": "a fresh start"}

        page.say(afresh)
        page.expect_last("completed", afresh, "A fresh start.")
        page.page.reload()
        page.expect_last("completed", afresh, "A fresh start.")
        expect(page.turns).to_have_count(1)
    [request] = model_server.requests(afresh)
    roles = [message["role"] for message in request["body"]["messages"]]
    assert roles == ["system", "user"]
    assert events_of(database, room)[: len(before)] == before


@pytest.mark.browser
def test_a_page_opened_later_is_empty_but_for_what_opens_an_empty_one(
    browser: Browser,
    server: Server,
    project: Project,
    database: Database,
    sessions: dict[str, str],
    room: int,
) -> None:
    clear_elsewhere(project, room)
    with chat_page(browser, server, room, sessions["ada"]) as page:
        page.expect_last("completed", "첫 문장으로 대화를 시작해주세요.", "您好！")
        expect(page.turns).to_have_count(1)
    assert types_of(events_of(database, room)) == [
        *BEFORE,
        "ConversationCleared",
        *("TurnStarted", "MessageAppended", "MessageAppended"),
    ]


def test_cleared_by_another_process_it_is_noticed_at_the_next_sign_of_life(
    server: Server, project: Project, database: Database, sessions: dict[str, str], room: int
) -> None:
    with chat(server, f"/ws/example/chat/{room}/", sessions["ada"]) as client:
        client.until(lambda frame: frame.get("type") == "turn")
        clear_elsewhere(project, room)
        client.send(type="ping")
        client.until(lambda frame: frame.get("type") == "reset")
    assert types_of(events_of(database, room)) == [*BEFORE, "ConversationCleared"]
    assert database.rows(f"SELECT * FROM turnlog_message WHERE conversation_id = {room}") == []


def test_clearing_in_mid_answer_hides_that_turn_and_stops_it(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said, afresh = words(), words()
    model_server.answer(said, "Cleared while it was being written. " * 6, pace=40)
    model_server.answer(afresh, "A fresh start.")
    with chat(server, f"/ws/example/chat/{room}/", sessions["ada"]) as client:
        turn_id = client.say(said)
        client.until_text(turn_id, "Cleared")
        clear_within(server, room, sessions["ada"])
        client.until(lambda frame: frame.get("type") == "reset")
        wait_for_the_end_of(turn_id, database, room, client)
        client.until_ended(client.say(afresh))
    [request] = model_server.requests(afresh)
    assert [message["role"] for message in request["body"]["messages"]] == ["system", "user"]
    answer = events_of(database, room, turn_id)[-1]
    assert answer.type == "MessageAppended"
    assert answer.metadata["outcome"] == "cancelled"
    assert answer.text.startswith("Cleared")


def wait_for_the_end_of(turn_id: str, database: Database, room: int, client: Chat) -> None:
    """The hidden turn says nothing more on the socket: ask the log, a pong between each time."""
    for _ in range(2000):
        if "MessageAppended" in types_of(events_of(database, room, turn_id)):
            return
        client.until_quiet()
    raise TimeoutError("the turn did not end")
