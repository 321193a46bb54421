"""Who gets in: decided before the socket is accepted, and again with every message."""

from __future__ import annotations

import http.cookiejar
import re
import urllib.parse
import urllib.request
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .browser import ChatPage, chat_page, watched_context
from .database import Database, events_of
from .model_server import ModelServer
from .project import Project, Server
from .socket_client import chat

pytestmark = pytest.mark.slow_once

SESSION_ENDED = 4401


class Visitor:
    """Somebody with a cookie jar, for pages that need no script."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def log_in(self, name: str) -> str:
        """Through the form; the session's key."""
        self._post("/accounts/login/", username=name, password=name)
        return self._cookie("sessionid")

    def log_out(self) -> None:
        self._post("/accounts/logout/")

    def _post(self, path: str, **fields: str) -> None:
        with self._opener.open(f"{self._server.url}/accounts/login/", timeout=30) as page:
            token = re.search(r'csrfmiddlewaretoken" value="([^"]+)', page.read().decode())
        assert token
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token[1]}).encode()
        with self._opener.open(f"{self._server.url}{path}", data, timeout=30) as page:
            page.read()

    def _cookie(self, name: str) -> str:
        return next(cookie.value or "" for cookie in self._cookies if cookie.name == name)


def give_to_bob(project: Project, room: int) -> None:
    code = (
        "from django.contrib.auth.models import User; from turnlog.models import Conversation;"
        f" room = Conversation.objects.get(pk={room});"
        " room.user = User.objects.get(username='bob'); room.save()"
    )
    done = project.manage("shell", "-c", code)
    assert done.returncode == 0, done.stderr


def assert_refused(server: Server, path: str, session: str | None, **options: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refusal,
        chat(server, path, session, **options),  # type: ignore[arg-type]
    ):
        pass
    assert refusal.value.response.status_code == 403


def test_nobody_in_particular_is_refused(server: Server, room: int) -> None:
    assert_refused(server, f"/ws/example/chat/{room}/", None)
    assert_refused(server, f"/ws/example/chat/{room}/", "nosuchsession")


def test_somebody_elses_conversation_is_refused(
    server: Server, project: Project, database: Database, sessions: dict[str, str], room: int
) -> None:
    give_to_bob(project, room)
    path = f"/ws/example/chat/{room}/"
    assert_refused(server, path, sessions["ada"])
    assert events_of(database, room)[-1].type == "OwnerChanged"  # And nothing after it.
    with chat(server, path, sessions["bob"]):
        pass


@pytest.mark.parametrize("number", [9999, 0, 2**70])
def test_an_unknown_conversation_is_refused(
    server: Server, database: Database, sessions: dict[str, str], number: int
) -> None:
    assert_refused(server, f"/ws/example/chat/{number}/", sessions["ada"])
    assert database.rows("SELECT * FROM turnlog_event WHERE stream_id IN (0, 9999)") == []


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null"])
def test_a_foreign_origin_is_refused(
    server: Server, sessions: dict[str, str], room: int, origin: str
) -> None:
    assert_refused(server, f"/ws/example/chat/{room}/", sessions["ada"], origin=origin)


@pytest.mark.browser
def test_a_page_that_is_refused_says_so(
    browser: Browser, server: Server, project: Project, sessions: dict[str, str], room: int
) -> None:
    give_to_bob(project, room)
    with watched_context(browser, sessions["ada"]) as context:
        chat_page = ChatPage(context.new_page(), server, room)
        chat_page.go()
        chat_page.expect_connection("refused")
        expect(chat_page.page.locator("#turnlog-connection")).to_have_text(
            "No access", use_inner_text=True
        )
        expect(
            chat_page.page.get_by_text("You do not have access to this conversation.")
        ).to_be_visible()
        chat_page.box.fill("Let me in.")
        expect(chat_page.page.locator("#turnlog-send")).to_be_disabled()


@pytest.mark.browser
def test_access_that_is_withdrawn_gives_the_words_back_and_says_so(
    browser: Browser,
    server: Server,
    project: Project,
    database: Database,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    with chat_page(browser, server, room, sessions["ada"]) as page:
        give_to_bob(project, room)
        page.say(said)
        page.expect_connection("refused")
        expect(page.box).to_have_value(said)
        expect(
            page.page.get_by_text("You do not have access to this conversation.")
        ).to_be_visible()
        expect(page.page.locator("#turnlog-send")).to_be_disabled()
    assert events_of(database, room)[-1].type == "OwnerChanged"  # And nothing after it.


def test_a_page_of_another_person_is_not_continued(
    server: Server, sessions: dict[str, str], room: int
) -> None:
    with (
        pytest.raises(ConnectionClosed) as closed,
        chat(server, f"/ws/example/chat/{room}/", sessions["ada"], person="somebody"),
    ):
        pass
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == SESSION_ENDED


def test_after_logging_out_the_next_message_closes_the_socket(
    server: Server, database: Database, room: int, words: Callable[[], str]
) -> None:
    visitor = Visitor(server)
    session = visitor.log_in("ada")
    with chat(server, f"/ws/example/chat/{room}/", session) as client:
        client.until_quiet()
        visitor.log_out()
        client.say(words())
        with pytest.raises(ConnectionClosed) as closed:
            client.until(lambda frame: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == SESSION_ENDED
    assert len(events_of(database, room)) == 3
    assert_refused(server, f"/ws/example/chat/{room}/", session)


@pytest.mark.browser
def test_after_logging_out_the_page_says_so_and_keeps_the_words(
    browser: Browser,
    server: Server,
    database: Database,
    model_server: ModelServer,
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "Welcome back.")
    visitor = Visitor(server)
    with chat_page(browser, server, room, visitor.log_in("ada")) as page:
        visitor.log_out()
        page.say(said)
        page.expect_connection("signed-out")
        expect(page.page.get_by_text("Your session has ended.")).to_be_visible()
        expect(page.box).to_have_value(said)
        assert len(events_of(database, room)) == 3
        # Back by the link: the draft has waited.
        page.page.get_by_role("link", name="Sign in again").click()
        page.page.locator("[name=username]").fill("ada")
        page.page.locator("[name=password]").fill("ada")
        page.page.locator("[name=password]").press("Enter")
        page.expect_connection("connected")
        expect(page.box).to_have_value(said)
        page.box.press("Enter")
        page.expect_last("completed", said, "Welcome back.")
