"""What is between a page and its socket, and what the page says of it."""

from __future__ import annotations

import re
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from .browser import SERVER_AWAY, ChatPage, watched_context
from .database import Database, events_of
from .project import Project, Server
from .socket_client import chat

pytestmark = pytest.mark.slow_once

SETTINGS = {"DJANGO_SETTINGS_MODULE": "door_settings"}
FAILED = r"^WebSocket connection to .* failed"
OPEN_A_SOCKET = """(url) => new Promise((done) => {
  const socket = new WebSocket(url);
  const got = [];
  socket.onmessage = ({ data }) => got.push(data);
  socket.onclose = ({ code }) => done({ code, got });
  setTimeout(() => socket.close(), 20_000);
})"""


@pytest.mark.browser
def test_a_page_of_another_port_cannot_open_the_chat(
    browser: Browser,
    server: Server,
    project: Project,
    database: Database,
    sessions: dict[str, str],
    room: int,
) -> None:
    with (
        project.server("door:application", **SETTINGS) as other,
        watched_context(browser, sessions["ada"], expected=FAILED) as context,
    ):
        page = context.new_page()
        page.goto(f"{other.url}/foreign/")  # The same host: the browser sends ada's cookie along.
        address = f"{server.ws_url}/ws/example/chat/{room}/?format=json"
        assert page.evaluate(OPEN_A_SOCKET, address) == {"code": 1006, "got": []}
    assert f"its page is from '{other.url}', and it came to '{server.url}'" in server.log
    assert len(events_of(database, room)) == 3


def socket_path(server: Server, page: str, session: str) -> str:
    """The path of the socket, from a page."""
    asked = urllib.request.Request(
        f"{server.url}{page}", headers={"Cookie": f"sessionid={session}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(asked, timeout=30) as answer:
        found = re.search(r'ws-connect="([^"]+)"', answer.read().decode())
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("by", "application", "passed_on"),
    [
        # What a proxy passes on of /app/...: uvicorn wants it removed, the others leave it.
        ("uvicorn", "named", ""),
        ("daphne", "application", "/app"),
        ("daphne", "named", ""),
        ("hypercorn", "named", "/app"),
        ("hypercorn", "named", ""),
    ],
)
def test_below_a_path_that_the_server_knows(
    by: str,
    application: str,
    passed_on: str,
    project: Project,
    sessions: dict[str, str],
    room: int,
) -> None:
    with project.server(
        f"door:{application}", by=by, arguments=["--root-path=/app"], **SETTINGS
    ) as server:
        path = socket_path(server, f"{passed_on}/door/{room}/", sessions["ada"])
        assert path == f"/app/ws/example/chat/{room}/"
        with chat(server, passed_on + path.removeprefix("/app"), sessions["ada"]):
            pass


@pytest.mark.parametrize(
    ("by", "application", "passed_on"),
    [("uvicorn", "application", ""), ("daphne", "named", ""), ("hypercorn", "named", "/app")],
)
def test_below_a_path_that_only_django_knows(
    by: str,
    application: str,
    passed_on: str,
    project: Project,
    sessions: dict[str, str],
) -> None:
    room = 1
    more = SETTINGS | {"DOOR_SCRIPT_NAME": "/app"}
    with project.server(f"door:{application}", by=by, **more) as server:
        path = socket_path(server, f"{passed_on}/door/{room}/", sessions["ada"])
        assert path == f"/app/ws/example/chat/{room}/"
        with chat(server, passed_on + path.removeprefix("/app"), sessions["ada"]):
            pass


@pytest.mark.browser
@pytest.mark.parametrize(
    ("options", "path", "debug", "says"),
    [
        ({"by": "runserver"}, "/example/chat/1/", "1", "Put 'daphne' at the top"),
        ({"by": "runserver"}, "/example/chat/1/", "0", ""),
        ({"application": "door:application"}, "/nowhere/", "1", "No WebSocket route"),
        ({"application": "door:application"}, "/nowhere/", "0", ""),
        ({"application": "door:without_websockets"}, "/door/1/", "1", "The server's log says why"),
    ],
)
def test_a_page_whose_socket_nobody_takes_does_not_speak_of_access(
    options: dict[str, Any],
    path: str,
    debug: str,
    says: str,
    browser: Browser,
    project: Project,
    sessions: dict[str, str],
) -> None:
    more = SETTINGS | {"DOOR_DEBUG": debug, "DOOR_WITHOUT_APP": "daphne"}
    with (
        project.server(**options, tracebacks=True, **more) as server,
        watched_context(browser, sessions["ada"], expected=FAILED) as context,
    ):
        page = ChatPage(context.new_page(), server, 1)
        page.page.goto(f"{server.url}{path}")
        page.expect_connection("unavailable")
        told = page.page.locator('[data-for="unavailable"]')
        expect(told).to_be_visible()
        expect(told).to_contain_text("This page cannot reach the chat.")
        expect(told.locator("span")).to_have_text(re.compile(says if says else "^$"))
        expect(page.page.locator('[data-for="refused"]')).to_be_hidden()


@pytest.mark.browser
@pytest.mark.parametrize("debug", ["1", "0"])
def test_routes_without_users_are_told_to_the_developer(
    debug: str, browser: Browser, project: Project, sessions: dict[str, str], room: int
) -> None:
    more = SETTINGS | {"DOOR_DEBUG": debug}
    with (
        project.server("door:without_users", **more) as server,
        watched_context(browser, sessions["ada"]) as context,
    ):
        page = ChatPage(context.new_page(), server, room)
        page.go()
        page.expect_connection("refused")
        told = page.page.locator('[data-for="refused"]')
        expect(told).to_contain_text("You do not have access to this conversation.")
        reason = "it has no user: put the routes into channels.auth.AuthMiddlewareStack"
        expect(told.locator("span")).to_have_text(reason if debug == "1" else "")
        assert reason in server.log


@pytest.mark.browser
def test_when_the_server_takes_sockets_the_page_connects_by_itself(
    browser: Browser, project: Project, sessions: dict[str, str], room: int
) -> None:
    with (
        project.server("door:without_websockets", tracebacks=True, **SETTINGS) as server,
        watched_context(browser, sessions["ada"], expected=SERVER_AWAY) as context,
    ):
        page = ChatPage(context.new_page(), server, room)
        page.go()
        page.expect_connection("unavailable")
        page.box.fill("A draft.")
        server.kill()
        server.start("door:application")
        page.expect_connection("connected")
        expect(page.box).to_have_value("A draft.")
        expect(page.page.locator('[data-for="unavailable"]')).to_be_hidden()
