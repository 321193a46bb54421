"""The server dies, or is stopped, while an answer is being written; then it comes back."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from .browser import SERVER_AWAY, ChatPage, answer_of, chat_page
from .database import Database, events_of, types_of
from .model_server import ModelServer
from .project import Server
from .socket_client import chat, is_standing

COMPLETED = ["TurnStarted", "MessageAppended", "MessageAppended"]
ANSWER = "An answer that takes its time, word for word. " * 8


@pytest.fixture
def page(
    browser: Browser, server: Server, sessions: dict[str, str], room: int
) -> Iterator[ChatPage]:
    """ada's page of a room with one turn; it may say that the server is away."""
    with chat_page(browser, server, room, sessions["ada"], expected=SERVER_AWAY) as page:
        yield page


@pytest.mark.browser
def test_killed_in_mid_answer_the_turn_is_shown_as_interrupted(
    page: ChatPage,
    server: Server,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said, again = words(), words()
    model_server.answer(said, ANSWER, pace=200)
    model_server.answer(again, "As if nothing had happened.")
    page.say(said)
    expect(answer_of(page.last)).to_contain_text("An answer that takes")
    while not database.rows("SELECT 1 FROM turnlog_draft"):
        page.page.wait_for_timeout(100)
    server.kill()
    page.expect_connection("offline")
    server.start()
    page.expect_connection("connected")
    page.expect_last("interrupted", said)
    expect(page.last).to_contain_text("The answer was interrupted.")
    # What had been written about a second before is in the log, and stays on the page.
    expect(answer_of(page.last)).to_contain_text("An answer")
    expect(page.turns).to_have_count(2)
    events = events_of(database, room)[3:]
    assert types_of(events) == ["TurnStarted", "TurnFailed"]
    assert events[0].text == said
    assert events[1].payload["outcome"] == "interrupted"
    assert ANSWER.startswith(events[1].produced)
    assert events[1].produced.startswith("An answer")
    assert database.rows("SELECT 1 FROM turnlog_draft") == []
    assert events[0].turn_id == events[1].turn_id

    page.say(again)
    page.expect_last("completed", again, "As if nothing had happened.")
    expect(page.turns).to_have_count(3)
    page.page.reload()
    page.expect_last("completed", again, "As if nothing had happened.")
    expect(page.turns).to_have_count(3)
    assert types_of(events_of(database, room)[5:]) == COMPLETED


@pytest.mark.browser
def test_words_of_an_interrupted_turn_can_be_written_again(
    page: ChatPage, server: Server, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=200)
    page.say(said)
    expect(answer_of(page.last)).to_contain_text("An answer")
    server.kill()
    server.start()
    page.expect_last("interrupted", said)
    page.last.get_by_role("button", name="Edit and resend").click()
    expect(page.box).to_have_value(said)


@pytest.mark.browser
def test_words_sent_while_the_server_is_away_arrive_once(
    page: ChatPage,
    server: Server,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "Here I am again.")
    server.kill()
    page.expect_connection("offline")
    page.say(said)
    expect(page.page.locator("#turnlog-pending")).to_contain_text(said)
    expect(page.page.locator("#turnlog-pending")).to_contain_text("Waiting for the connection")
    server.start()
    page.expect_last("completed", said, "Here I am again.")
    expect(page.page.locator("#turnlog-pending")).to_be_hidden()
    expect(page.turns).to_have_count(2)
    assert types_of(events_of(database, room)[3:]) == COMPLETED
    assert len(model_server.requests(said)) == 1


@pytest.mark.browser
def test_the_list_beside_a_chat_is_asked_for_once_the_server_is_back(
    page: ChatPage, server: Server
) -> None:
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    server.kill()
    page.expect_connection("offline")
    page.main.evaluate("page => page.dispatchEvent(new Event('turnlog:ended'))")
    assert not any("?panel" in url for url in asked)
    with page.page.expect_response("**/conversations/?panel", timeout=40_000) as answered:
        server.start()
    assert answered.value.ok


@pytest.mark.browser
def test_stopped_in_mid_answer_the_server_finishes_it_first(
    page: ChatPage,
    server: Server,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=60)
    page.say(said)
    expect(answer_of(page.last)).to_contain_text("An answer")
    exit_code = server.terminate()
    events = events_of(database, room)[3:]
    assert types_of(events) == COMPLETED
    assert events[-1].text == ANSWER
    assert exit_code in (0, -signal.SIGTERM)
    page.expect_connection("offline")
    server.start()
    page.expect_connection("connected")
    page.expect_last("completed", said, ANSWER.strip())
    expect(page.turns).to_have_count(2)
    assert types_of(events_of(database, room)[3:]) == COMPLETED
    assert len(model_server.requests(said)) == 1


def test_an_interrupted_turn_is_closed_by_whoever_comes_next(
    server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=200)
    path = f"/ws/example/chat/{room}/"
    with chat(server, path, sessions["ada"]) as client:
        turn_id = client.say(said)
        client.until_text(turn_id, "An")
        server.kill()
    assert types_of(events_of(database, room)[3:]) == ["TurnStarted"]
    server.start()
    with chat(server, path, sessions["ada"]) as client:
        frames = client.until(lambda frame: is_standing(frame, turn_id))
    assert frames[-1]["outcome"] == "interrupted"
    assert frames[-1]["error"] == ""
    assert [frame["content"] for frame in frames if frame.get("role") == "user"][-1] == said
    assert types_of(events_of(database, room)[3:]) == ["TurnStarted", "TurnFailed"]
