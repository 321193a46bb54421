"""The chat over HTTP in Chromium, under the tutorial's strict Content-Security-Policy."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from .browser import SERVER_AWAY, ChatPage, answer_of, watched_context
from .database import Database, events_of, types_of
from .model_server import ModelServer
from .project import Project, Server
from .site.rooms import GREETING, GREETING_ANSWER

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

# Chromium itself reports refusals, too.
EXPECTED = f"{SERVER_AWAY}|the server responded with a status of 4"
COMPLETED = ["TurnStarted", "MessageAppended", "MessageAppended"]
ANSWER = "An answer that takes its time, word for word. " * 8
APPLICATION = "http_chats:application"


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    with project.server(APPLICATION) as server:
        yield server


class HttpPage(ChatPage):
    """The page that the view itself serves."""

    def __init__(self, page: Any, server: Server, room: int) -> None:
        super().__init__(page, server, room)
        self._address = f"{server.url}/http/{room}/"


@contextlib.contextmanager
def http_page(
    browser: Browser, server: Server, room: int, session: str, **options: Any
) -> Iterator[HttpPage]:
    with watched_context(browser, session, **options) as context:
        page = HttpPage(context.new_page(), server, room)
        page.open()
        yield page


@pytest.fixture
def page(
    browser: Browser, server: Server, sessions: dict[str, str], room: int
) -> Iterator[HttpPage]:
    """ada's page of a room with one turn."""
    with http_page(browser, server, room, sessions["ada"], expected=EXPECTED) as page:
        yield page


def test_history_is_there_and_an_answer_grows(
    page: HttpPage,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    page.expect_last("completed", GREETING, GREETING_ANSWER)
    said = words()
    model_server.answer(said, ANSWER, pace=20)
    page.say(said)
    expect(page.box).to_have_value("")
    page.expect_last("completed", said)
    expect(page.turns).to_have_count(2)
    expect(page.status).to_have_text("Answer finished.")
    growing = [len(answer) for outcome, answer in page.seen() if outcome == "open"]
    assert len(set(growing)) > 3
    assert growing == sorted(growing)
    assert types_of(events_of(database, room)[3:]) == COMPLETED


def test_stop_ends_an_answer(
    page: HttpPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=200)
    page.say(said)
    expect(answer_of(page.last)).to_contain_text("An answer that takes")
    page.stop.click()
    page.expect_last("cancelled", said)
    expect(page.last).to_contain_text("You stopped this answer.")


def test_a_reload_in_mid_answer_and_a_second_tab(
    page: HttpPage,
    server: Server,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=100)
    page.say(said)
    expect(answer_of(page.last)).to_contain_text("An answer")
    page.page.reload()
    other = HttpPage(page.page.context.new_page(), server, room)
    other.open()
    for tab in (page, other):
        expect(answer_of(tab.last)).to_contain_text("An answer")
        tab.expect_last("completed", said, ANSWER.strip())
        expect(tab.turns).to_have_count(2)
    assert types_of(events_of(database, room)[3:]) == COMPLETED


def test_a_connection_that_was_lost_comes_back(
    page: HttpPage,
    server: Server,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    """What was written meanwhile waits, and is sent once."""
    said = words()
    model_server.answer(said, "As if nothing had happened.")
    server.kill()
    page.expect_connection("offline")
    page.say(said)
    expect(page.pending).to_be_visible()
    server.start()
    page.expect_last("completed", said, "As if nothing had happened.")
    expect(page.pending).to_be_hidden()
    assert types_of(events_of(database, room)[3:]) == COMPLETED


def test_earlier_turns_come_when_asked_for(
    browser: Browser,
    project: Project,
    model_server: ModelServer,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "One more.")
    more = {"DJANGO_SETTINGS_MODULE": "door_settings", "DOOR_HISTORY": "1"}
    with (
        project.server(APPLICATION, **more) as server,
        http_page(browser, server, room, sessions["ada"]) as page,
    ):
        page.say(said)
        page.expect_last("completed", said, "One more.")
        page.page.reload()
        expect(page.turns).to_have_count(1)
        page.page.get_by_role("button", name="Show earlier messages").click()
        expect(page.turns).to_have_count(2)
        expect(page.turns.first.locator(".turnlog-human")).to_have_text(GREETING)
        page.expect_last("completed", said, "One more.")


def test_a_refused_message_is_given_back(page: HttpPage) -> None:
    long = "x" * 40_000
    page.page.evaluate("document.getElementById('turnlog-config').dataset.maxLength = 99999")
    page.say(long)
    expect(page.notice).to_contain_text("The message has 40000 characters; at most 32768")
    expect(page.box).to_have_value(long)


def test_signing_in_again_in_another_tab_costs_nothing(
    page: HttpPage,
    server: Server,
    model_server: ModelServer,
    words: Callable[[], str],
) -> None:
    """The page's CSRF token is not the browser's any more."""
    said = words()
    model_server.answer(said, "Here I am again.")
    page.page.context.clear_cookies(name="csrftoken")
    page.page.context.new_page().goto(f"{server.url}/accounts/login/")
    page.say(said)
    page.expect_last("completed", said, "Here I am again.")


def test_who_is_not_signed_in_is_sent_to_sign_in(
    browser: Browser, server: Server, room: int
) -> None:
    with watched_context(browser, None) as context:
        tab = context.new_page()
        tab.goto(f"{server.url}/http/{room}/")
        expect(tab).to_have_url(re.compile(rf"/accounts/login/\?next=/http/{room}/"))


def test_a_session_that_ends_is_said(
    page: HttpPage, server: Server, database: Database, words: Callable[[], str]
) -> None:
    page.page.context.clear_cookies(name="sessionid")
    page.say(words())
    page.expect_connection("signed-out")
