"""The review room's pages while people chat: what is committed appears by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .browser import SERVER_AWAY, watched_context
from .project import Project, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

AWAY = SERVER_AWAY + r"|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION"

SAY = """
from django.contrib.auth import get_user_model
from turnlog.events.models import Conversation
room = Conversation.objects.get(pk={room})
room.record_turn({words!r}, "Yes.", user=get_user_model().objects.get(username="ada"))
"""


# As a browser does when somebody goes to another tab, which a page cannot do by itself.
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
ERASE = """
from turnlog.events.models import Conversation
Conversation.objects.get(pk={room}).erase(reason="asked for")
"""


def say(project: Project, room: int, words: str) -> None:
    """A turn that another process records."""
    done = project.manage("shell", "-c", SAY.format(room=room, words=words))
    assert done.returncode == 0, done.stderr


@pytest.fixture
def page(browser: Browser, server: Server, sessions: dict[str, str]) -> Iterator[Page]:
    with watched_context(browser, sessions["rita"]) as context:
        yield context.new_page()


def test_a_new_turn_appears_and_keeps_the_focus(
    page: Page, server: Server, project: Project, room: int
) -> None:
    page.goto(f"{server.url}/review/{room}/")
    link = page.locator("#review-trail").get_by_role("link").first
    link.focus()
    say(project, room, "Is somebody there?")
    expect(page.locator(".turnlog-human").last).to_have_text("Is somebody there?")
    expect(link).to_be_focused()
    expect(page.get_by_role("status")).to_have_text("New turns: 1")
    head = page.get_by_role("slider").get_attribute("max")
    expect(page.get_by_role("slider")).to_have_value(head or "")
    assert page.locator("#review-turns li").count() == page.locator("article").count()


def test_what_somebody_writes_stays_and_they_sign_what_they_have_seen(
    page: Page, server: Server, project: Project, room: int
) -> None:
    page.goto(f"{server.url}/review/{room}/")
    seen = page.get_by_role("button", name="Sign off").text_content()
    turn = page.locator("article").first
    turn.get_by_text("Note on this turn").click()
    note = turn.get_by_label("Note", exact=True)
    note.fill("Half a note")
    say(project, room, "One more.")
    expect(page.locator(".turnlog-human").last).to_have_text("One more.")
    expect(note).to_have_value("Half a note")
    expect(note).to_be_focused()
    expect(page.get_by_role("button", name="Sign off")).to_have_text(seen or "")
    say(project, room, "And another.")
    expect(page.locator(".turnlog-human").last).to_have_text("And another.")
    expect(page.locator("article")).to_have_count(3)
    expect(page.get_by_role("status")).to_have_text("New turns: 2")


def test_erased_words_go_from_an_open_page(
    page: Page, server: Server, project: Project, room: int
) -> None:
    page.goto(f"{server.url}/review/{room}/")
    say(project, room, "Forget this.")
    expect(page.locator(".turnlog-human").last).to_have_text("Forget this.")
    done = project.manage("shell", "-c", ERASE.format(room=room))
    assert done.returncode == 0, done.stderr
    expect(page.get_by_text("Forget this.")).to_have_count(0)
    expect(page.get_by_text("for asked for")).not_to_have_count(0)


def test_nothing_moves_while_the_slider_stands_in_the_past(
    page: Page, server: Server, project: Project, room: int
) -> None:
    page.goto(f"{server.url}/review/{room}/")
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    expect(page).to_have_url(re.compile(r"\?at=1$"))
    expect(page.locator("article")).to_have_count(0)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    say(project, room, "Not now.")
    slider.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"\?at=2$"))
    expect(page.locator("article")).to_have_count(1)
    assert asked == [page.url]
    page.get_by_role("link", name="Now", exact=True).click()
    expect(page.locator(".turnlog-human").last).to_have_text("Not now.")


def test_the_list_moves_a_conversation_up(
    page: Page, server: Server, project: Project, room: int
) -> None:
    project.manage("run_projections", "--once")
    page.goto(f"{server.url}/review/")
    first = page.get_by_role("row").nth(1).get_by_role("link")
    expect(first).not_to_have_attribute("href", f"/review/{room}/")
    say(project, room, "Me first.")
    project.manage("run_projections", "--once")
    expect(first).to_have_attribute("href", f"/review/{room}/")
    expect(page.get_by_role("status")).to_have_text(re.compile("New activity in conversations"))


def test_a_tab_that_nobody_sees_has_no_stream_and_misses_nothing(
    page: Page, server: Server, project: Project, room: int
) -> None:
    page.goto(f"{server.url}/review/{room}/")
    with page.expect_event("requestfailed", lambda ended: "/live/" in ended.url):
        page.evaluate(HIDE, True)
    say(project, room, "Behind your back.")
    expect(page.locator("article")).to_have_count(1)
    with page.expect_request(re.compile("/live/.*lastEventId=")):
        page.evaluate(HIDE, False)
    expect(page.locator(".turnlog-human").last).to_have_text("Behind your back.")


def test_what_was_said_while_the_server_was_away_comes_with_it(
    browser: Browser, project: Project, sessions: dict[str, str], room: int
) -> None:
    with (
        project.server() as server,
        watched_context(browser, sessions["rita"], expected=AWAY) as context,
    ):
        page = context.new_page()
        page.goto(f"{server.url}/review/{room}/")
        server.kill()
        say(project, room, "Nobody heard this.")
        server.start()
        expect(page.locator(".turnlog-human").last).to_have_text(
            "Nobody heard this.", timeout=40_000
        )
        expect(page.locator("article")).to_have_count(2)
