"""Words that could not be sent are back in the text box, and the page says why until one acts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from .browser import ChatPage, answer_of, chat_page, watched_context
from .gate import Gate
from .project import Project, Server
from .scripted_model import ScriptedModel, endless

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

TOO_LARGE = 1009
WAIT = "Another answer is still being written: wait for it."


@pytest.fixture(scope="module")
def server(project: Project, scripted_model: ScriptedModel) -> Iterator[Server]:
    with project.server(OPENAI_BASE_URL=scripted_model.url) as server:
        yield server


@pytest.fixture(scope="module")
def other_server(project: Project, scripted_model: ScriptedModel) -> Iterator[Server]:
    """Another process: it learns of the first one's turns only from the log."""
    with project.server(OPENAI_BASE_URL=scripted_model.url) as server:
        yield server


class SlowLine:
    """What the server sends to a page may be held: so the page does not know yet what happens."""

    def __init__(self, page: Page) -> None:
        self._held: list[str | bytes] | None = None
        page.route_web_socket(re.compile("/ws/"), self._connect)

    def _connect(self, socket: WebSocketRoute) -> None:
        self._socket = socket
        socket.connect_to_server().on_message(self._heard)

    def _heard(self, message: str | bytes) -> None:
        if self._held is None:
            self._socket.send(message)
        else:
            self._held.append(message)

    def hold(self) -> None:
        self._held = []

    def release(self) -> None:
        held, self._held = self._held or [], None
        for message in held:
            self._socket.send(message)


@pytest.fixture
def tabs(
    browser: Browser,
    server: Server,
    other_server: Server,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
) -> Iterator[tuple[ChatPage, ChatPage]]:
    """ada's two tabs: the second's message was refused because the first's is being answered."""
    scripted_model.script = endless("This is all that it ever says. ")
    with chat_page(browser, server, room, sessions["ada"]) as first:
        page = first.page.context.new_page()
        slow = SlowLine(page)
        second = ChatPage(page, other_server, room).open()
        slow.hold()
        first.say("The first tab's.")
        expect(answer_of(first.last)).to_contain_text("ever says")
        second.say("The second tab's.")
        expect(second.pending).to_be_visible()
        slow.release()
        expect(second.notice).to_have_text(re.compile(WAIT))
        expect(second.box).to_have_value("The second tab's.")
        yield first, second
        # Not by its Stop alone: that may be for a moment the one of the second tab's turn.
        turn = first.turns.filter(has_text="The first tab's.")
        if turn.get_attribute("data-outcome") == "open":
            first.stop.click()
            first.expect_last("cancelled", "The first tab's.")


def test_the_reason_is_still_there_when_other_turns_appear(
    tabs: tuple[ChatPage, ChatPage], scripted_model: ScriptedModel
) -> None:
    first, second = tabs
    first.stop.click()
    second.expect_last("cancelled", "The first tab's.")
    scripted_model.script = endless("Once more. ")
    first.say("And again.")
    second.expect_last("open", "And again.")
    expect(second.notice).to_have_text(re.compile(WAIT))
    first.stop.click()
    second.expect_last("cancelled", "And again.")
    expect(second.notice).to_have_text(re.compile(WAIT))
    expect(second.box).to_have_value("The second tab's.")


def test_it_goes_when_the_words_are_changed_and_not_when_more_is_written(
    tabs: tuple[ChatPage, ChatPage],
) -> None:
    _, second = tabs
    second.box.press_sequentially(" And more.")
    expect(second.notice).to_have_text(re.compile(WAIT))
    second.box.press("Home")
    second.box.press("Delete")
    expect(second.notice).to_be_empty()
    expect(second.box).to_have_value("he second tab's. And more.")


def test_it_goes_when_it_is_closed_by_the_keyboard(tabs: tuple[ChatPage, ChatPage]) -> None:
    _, second = tabs
    for _ in ("the button for files", "the notice's"):
        second.page.keyboard.press("Shift+Tab")
    close = second.page.get_by_role("button", name="Close this notice")
    expect(close).to_be_focused()
    close.press("Enter")
    expect(second.notice).to_be_empty()
    expect(close).to_be_hidden()
    expect(second.box).to_be_focused()
    expect(second.box).to_have_value("The second tab's.")


def test_it_goes_when_the_words_are_sent_again(
    tabs: tuple[ChatPage, ChatPage], scripted_model: ScriptedModel
) -> None:
    first, second = tabs
    first.stop.click()
    second.expect_last("cancelled", "The first tab's.")
    scripted_model.script = endless("Now it is your turn. ")
    second.box.press("Enter")
    second.expect_last("open", "The second tab's.")
    expect(second.notice).to_be_empty()
    second.stop.click()
    second.expect_last("cancelled", "The second tab's.")


@pytest.fixture
def page(
    browser: Browser, server: Server, sessions: dict[str, str], room: int
) -> Iterator[ChatPage]:
    with watched_context(browser, sessions["ada"]) as context:
        yield ChatPage(context.new_page(), server, room)


def test_a_message_that_is_too_large_for_the_server(page: ChatPage) -> None:
    gate = Gate(page)
    page.open()
    gate.closes_with = TOO_LARGE
    page.say("Far too much.")
    expect(page.box).to_have_value("Far too much.")
    page.expect_connection("offline")
    page.expect_connection("connected")
    expect(page.notice).to_have_text(re.compile("This message is too long to send"))
    expect(page.turns).to_have_count(1)


def test_a_message_that_was_cleared_before_its_page_heard_of_it(
    page: ChatPage, project: Project, room: int, scripted_model: ScriptedModel
) -> None:
    gate = Gate(page)
    page.open()
    scripted_model.script = endless("Soon to be hidden. ")
    gate.mute = True
    page.say("Is anybody there?")
    expect(page.pending).to_be_visible()
    gate.shut()
    clear(project, room)
    gate.unlock()
    expect(page.box).to_have_value("Is anybody there?")
    expect(page.notice).to_have_text(re.compile("This message was sent before and then cleared."))
    expect(page.pending).to_be_hidden()


def clear(project: Project, room: int) -> None:
    code = f"from turnlog.models import Conversation; Conversation.objects.get(pk={room}).clear()"
    done = project.manage("shell", "-c", code)
    assert done.returncode == 0, done.stderr
