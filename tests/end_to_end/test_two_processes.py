"""Two server processes on one database, with nothing between them but the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from .browser import answer_of, chat_page
from .database import Database, events_of, types_of
from .model_server import ModelServer
from .project import Project, Server
from .socket_client import chat, is_notice, is_standing, text_of

COMPLETED = ["TurnStarted", "MessageAppended", "MessageAppended"]
ANSWER = "It is written by one process and read by both. " * 8


@pytest.fixture(scope="module")
def other_server(project: Project) -> Iterator[Server]:
    with project.server() as server:
        yield server


def test_a_turn_that_runs_in_one_is_refused_by_the_other(
    server: Server,
    other_server: Server,
    database: Database,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said, too_early, later = words(), words(), words()
    model_server.answer(said, ANSWER, pace=50)
    model_server.answer(later, "Now it is your turn.")
    path = f"/ws/example/chat/{room}/"
    with (
        chat(server, path, sessions["ada"]) as here,
        chat(other_server, path, sessions["ada"]) as there,
    ):
        turn_id = here.say(said)
        here.until_text(turn_id, "It")
        refused = there.say(too_early)
        notice = there.until(is_notice)[-1]
        here.until_ended(turn_id)
        # Who was told to wait is also told when the waiting is over.
        there.until_ended(turn_id, seconds=10)
        later_id = there.say(later)
        there.until_ended(later_id)
    assert notice["refused_turn_id"] == refused
    assert notice["content"] == "Another answer is still being written: wait for it."
    events = events_of(database, room)[3:]
    assert types_of(events) == COMPLETED * 2
    assert [event.turn_id for event in events] == [turn_id] * 3 + [later_id] * 3
    assert model_server.requests(too_early) == []


def test_a_client_of_the_other_is_told_of_the_turn_and_then_its_answer(
    server: Server,
    other_server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=50)
    path = f"/ws/example/chat/{room}/"
    with chat(server, path, sessions["ada"]) as here:
        turn_id = here.say(said)
        here.until_text(turn_id, "It")
        with chat(other_server, path, sessions["ada"]) as there:
            open_turn = there.until(lambda frame: is_standing(frame, turn_id))[-1]
            ended = there.until_ended(turn_id)[-1]
            there.until_quiet()
        here.until_ended(turn_id)
    assert (open_turn["outcome"], ended["outcome"]) == ("open", "completed")
    assert text_of(there.frames, turn_id) == text_of(here.frames, turn_id) == ANSWER


@pytest.mark.browser
def test_a_page_of_the_other_shows_the_open_turn_and_then_its_answer(
    browser: Browser,
    server: Server,
    other_server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=80)
    with (
        chat_page(browser, server, room, sessions["ada"]) as here,
        chat_page(browser, other_server, room, sessions["ada"]) as there,
    ):
        here.say(said)
        expect(answer_of(here.last)).to_contain_text("It is")
        # Nobody tells the other process: a page that is looked at again asks.
        there.page.reload()
        for page in (here, there):
            page.expect_last("completed", said, ANSWER.strip())
            expect(page.turns).to_have_count(2)
        assert ("open", "") in there.seen()
        assert here.text() == there.text()


def test_the_death_of_one_is_noticed_by_the_other(
    project: Project,
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
    with chat(server, path, sessions["ada"]) as survivor, project.server() as doomed:
        with chat(doomed, path, sessions["ada"]) as client:
            turn_id = client.say(said)
            client.until_text(turn_id, "It")
            survivor.send(type="ping")
            survivor.until(lambda frame: is_standing(frame, turn_id))
            doomed.kill()
        ended = survivor.until_ended(turn_id)[-1]
    assert ended["outcome"] == "interrupted"
    assert types_of(events_of(database, room)[3:]) == ["TurnStarted", "TurnFailed"]
