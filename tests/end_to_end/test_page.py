"""The chat page in Chromium, under the tutorial's strict Content-Security-Policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from .browser import SERVER_AWAY, ChatPage, answer_of, chat_page, watched_context
from .database import Database, events_of, types_of
from .model_server import ModelServer
from .project import Project, Server
from .scripted_model import DONE, ScriptedModel, delta, endless
from .site.rooms import GREETING, GREETING_ANSWER

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

LONG_ANSWER = "A first paragraph of some length.\n\n" + "And a second one that goes on. " * 6


@pytest.fixture
def page(
    browser: Browser, server: Server, sessions: dict[str, str], room: int
) -> Iterator[ChatPage]:
    """ada's page of a room with one turn."""
    with chat_page(browser, server, room, sessions["ada"]) as page:
        yield page


def test_the_watch_notices_violations_and_errors(browser: Browser, server: Server) -> None:
    with pytest.raises(AssertionError, match=r"(?s)Content Security Policy.*uncaught: on purpose"):
        misbehave(browser, server)


def misbehave(browser: Browser, server: Server) -> None:
    with watched_context(browser, None) as context:
        page = context.new_page()
        page.goto(f"{server.url}/accounts/login/")
        with page.expect_event("pageerror"):
            page.evaluate(
                "() => { document.body.setAttribute('style', 'color: red');"
                " setTimeout(() => { throw new Error('on purpose') }) }"
            )


def test_signing_in_leads_to_the_conversation(browser: Browser, server: Server) -> None:
    with watched_context(browser, None) as context:
        page = context.new_page()
        page.goto(server.url)
        expect(page).to_have_url(re.compile("/accounts/login/"))
        page.locator("[name=username]").fill("ada")
        page.locator("[name=password]").fill("ada")
        page.locator("[name=password]").press("Enter")
        expect(page.get_by_role("link")).to_have_count(5)
        page.get_by_role("link", name="Chat").click()
        expect(page).to_have_url(f"{server.url}/example/chat/1/")
        chat = ChatPage(page, server, 1)
        chat.expect_connection("connected")
        expect(answer_of(chat.last).locator("table")).to_be_visible()


def test_history_is_there_on_load(page: ChatPage) -> None:
    expect(page.turns).to_have_count(1)
    page.expect_last("completed", GREETING, GREETING_ANSWER)


def test_enter_sends_and_the_answer_grows_while_it_is_written(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.answer(said, LONG_ANSWER, pace=20)
    page.say(said)
    expect(page.box).to_have_value("")
    page.expect_last("completed", said)
    expect(page.turns).to_have_count(2)
    expect(answer_of(page.last).locator("p:not(.turnlog-call)")).to_have_count(2)
    expect(page.status).to_have_text("Answer finished.")
    expect(page.box).to_be_focused()

    growing = [len(answer) for outcome, answer in page.seen() if outcome == "open"]
    assert len(set(growing)) > 3
    assert growing == sorted(growing)
    final = re.sub(r"\s+", " ", page.seen()[-1][1])
    assert final == re.sub(r"\s+", " ", LONG_ANSWER).strip()


def test_shift_enter_is_a_new_line(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.answer(said, "Two lines.")
    page.box.fill(said)
    page.box.press("Shift+Enter")
    page.box.press_sequentially("And the second.")
    expect(page.box).to_have_value(f"{said}\nAnd the second.")
    expect(page.turns).to_have_count(1)
    page.box.press("Enter")
    page.expect_last("completed", f"{said}\nAnd the second.", "Two lines.")
    assert page.last.locator(".turnlog-human").inner_text() == f"{said}\nAnd the second."


def test_the_enter_that_ends_a_composition_does_not_send(page: ChatPage) -> None:
    page.box.fill("안녕하세")
    devtools = page.page.context.new_cdp_session(page.page)
    devtools.send("Input.imeSetComposition", {"text": "요", "selectionStart": 1, "selectionEnd": 1})
    key = {"key": "Process", "code": "Enter", "windowsVirtualKeyCode": 229}
    devtools.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **key})
    devtools.send("Input.insertText", {"text": "요"})
    devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})
    expect(page.box).to_have_value("안녕하세요")
    devtools.detach()
    expect(page.turns).to_have_count(1)


def test_a_tool_has_a_card(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.call_tool(said, "look_up_price", {"name": "拿铁"}, then="It is 32 yuan.")
    page.say(said)
    page.expect_last("completed", said)
    card = page.last.locator("details.turnlog-tool")
    expect(card).to_have_count(1)
    expect(card.locator("summary")).to_contain_text("look_up_price")
    expect(card.locator(".turnlog-tool-state")).to_have_attribute("data-status", "ok")
    expect(card.locator(".turnlog-tool-output")).not_to_be_visible()
    card.locator("summary").click()
    expect(card.locator(".turnlog-tool-output pre")).to_have_text("拿铁: 32元")
    expect(answer_of(page.last)).to_contain_text("It is 32 yuan.")


def test_reloading_shows_the_same_conversation(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    plain, with_tool = words(), words()
    model_server.answer(plain, LONG_ANSWER)
    model_server.call_tool(with_tool, "look_up_price", {"name": "拿铁"}, then="**32** yuan.")
    for said in (plain, with_tool):
        page.say(said)
        page.expect_last("completed", said)
    text, html = page.text(), answer_of(page.last).inner_html()
    page.page.reload()
    expect(page.turns).to_have_count(3)
    page.expect_last("completed", with_tool)
    assert page.text() == text
    assert re.sub(r"\s+", " ", answer_of(page.last).inner_html()) == re.sub(r"\s+", " ", html)


def test_a_second_tab_joins_in_mid_answer(
    page: ChatPage,
    server: Server,
    room: int,
    model_server: ModelServer,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, "Both tabs end with the very same text. " * 10, pace=80)
    page.say(said)
    expect(answer_of(page.last)).to_contain_text("Both")
    second = ChatPage(page.page.context.new_page(), server, room).open()
    for tab in (page, second):
        tab.expect_last("completed", said)
        expect(tab.turns).to_have_count(2)
    outcome, joined_at = next(state for state in second.seen() if state[0] == "open")
    assert outcome == "open"
    final = second.seen()[-1][1]
    assert 0 < len(joined_at) < len(final)
    assert second.text() == page.text()
    assert len(model_server.requests(said)) == 1


def test_stop_keeps_what_was_said(
    project: Project,
    browser: Browser,
    database: Database,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    scripted_model.script = endless("This is all that it ever says. ")
    said = words()
    scripted = {"OPENAI_BASE_URL": scripted_model.url}
    with (
        project.server(**scripted) as server,
        chat_page(browser, server, room, sessions["ada"]) as page,
    ):
        page.say(said)
        expect(answer_of(page.last)).to_contain_text("ever says")
        page.box.fill("Written meanwhile.")
        page.box.press("Enter")  # Not sent: one turn at a time.
        page.stop.click()
        page.expect_last("cancelled", said, "This is all that it ever says.")
        expect(page.last).to_contain_text("You stopped this answer.")
        expect(page.stop).to_be_hidden()
        expect(page.box).to_have_value("Written meanwhile.")
        expect(page.turns).to_have_count(2)
    *_, answer = events = events_of(database, room)[3:]
    assert types_of(events) == ["TurnStarted", "MessageAppended", "MessageAppended"]
    assert answer.metadata["outcome"] == "cancelled"
    assert answer.text == "This is all that it ever says. "


def test_after_stop_one_can_go_on(
    project: Project,
    browser: Browser,
    database: Database,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    scripted = {"OPENAI_BASE_URL": scripted_model.url}
    with (
        project.server(**scripted) as server,
        chat_page(browser, server, room, sessions["ada"]) as page,
    ):
        scripted_model.script = endless("The first half, ")
        page.say(said)
        expect(answer_of(page.last)).to_contain_text("The first half")
        page.box.fill("Written meanwhile.")
        page.stop.click()
        page.expect_last("cancelled", said)
        expect(page.status).to_have_text("Answer stopped.")
        expect(page.last.get_by_role("button", name="Edit and resend")).to_be_visible()

        scripted_model.say(delta("and the second."), delta("", "stop"), DONE)
        page.last.get_by_role("button", name="Go on").press("Enter")
        page.expect_last("completed", "Go on from where you stopped.", "and the second.")
        expect(page.turns).to_have_count(3)
        expect(page.box).to_have_value("Written meanwhile.")
        expect(page.box).to_be_focused()
        # Only the last turn offers it, and only if its answer is not whole.
        expect(page.turns.get_by_role("button", name="Go on")).to_have_count(0)
        expect(page.turns.get_by_role("button", name="Edit and resend")).to_have_count(0)
    asked = [event for event in events_of(database, room)[3:] if event.type == "TurnStarted"]
    assert [event.text for event in asked] == [said, "Go on from where you stopped."]


def test_an_answer_that_was_cut_off_by_its_length_can_be_continued(
    project: Project,
    browser: Browser,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    scripted = {"OPENAI_BASE_URL": scripted_model.url}
    with (
        project.server(**scripted) as server,
        chat_page(browser, server, room, sessions["ada"]) as page,
    ):
        scripted_model.say(delta("The first half, "), delta("", "length"), DONE)
        page.say(said)
        page.expect_last("completed", said)
        expect(page.last.locator(".turnlog-outcome")).to_be_visible()
        expect(page.last.get_by_role("button", name="Edit and resend")).to_have_count(0)
        scripted_model.say(delta("and the second."), delta("", "stop"), DONE)
        page.last.get_by_role("button", name="Go on").click()
        page.expect_last("completed", "Go on from where you stopped.", "and the second.")
        page.page.reload()
        page.expect_last("completed", "Go on from where you stopped.", "and the second.")
        expect(page.page.get_by_role("button", name="Go on")).to_have_count(0)


def test_going_on_waits_for_the_connection_like_any_message(
    project: Project,
    browser: Browser,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    words: Callable[[], str],
) -> None:
    said = words()
    scripted = {"OPENAI_BASE_URL": scripted_model.url}
    with (
        project.server(**scripted) as server,
        chat_page(browser, server, room, sessions["ada"], expected=SERVER_AWAY) as page,
    ):
        scripted_model.script = endless("The first half, ")
        page.say(said)
        expect(answer_of(page.last)).to_contain_text("The first half")
        page.stop.click()
        page.expect_last("cancelled", said)
        server.kill()
        page.expect_connection("offline")
        page.last.get_by_role("button", name="Go on").dblclick()
        expect(page.pending).to_contain_text("Go on from where you stopped.")
        expect(page.last.get_by_role("button", name="Go on")).to_have_count(0)
        page.pending.get_by_role("button", name="Cancel sending").click()
        expect(page.box).to_have_value("Go on from where you stopped.")
        expect(page.last.get_by_role("button", name="Go on")).to_be_visible()


def test_markup_of_a_model_is_shown_and_not_obeyed(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.answer(
        said,
        'Look: <img src=x onerror=alert(1)> <b hx-get="/admin/">bold</b> [x](javascript:alert(1))',
    )
    page.say(said)
    page.expect_last("completed", said, re.compile("<img src=x onerror"))
    expect(answer_of(page.last).locator("img, b, [hx-get], a[href^=javascript]")).to_have_count(0)
