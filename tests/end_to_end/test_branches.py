"""Other answers and other words, as a person asks for them in the browser, on two devices."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from .browser import answer_of, chat_page
from .model_server import ModelServer
from .project import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

FIRST, WHOLE = re.compile("The first answer"), re.compile("All of it")
LONG, OTHER = re.compile("so it goes on"), re.compile("Another one")
WRITTEN = "And so it goes on. " * 150


def test_stop_regenerate_page_back_edit_and_another_device(
    browser: Browser,
    server: Server,
    sessions: dict[str, str],
    room: int,
    model_server: ModelServer,
    words: Callable[[], str],
) -> None:
    first, second, reworded, changed = words(), words(), words(), words()
    model_server.answer(first, "The first answer.")
    model_server.answer(second, WRITTEN, pace=200)
    model_server.answer(reworded, "All of it.")
    model_server.answer(changed, "Another one.")
    with (
        chat_page(browser, server, room, sessions["ada"]) as page,
        chat_page(browser, server, room, sessions["ada"]) as other,
    ):
        page.say(first)
        page.expect_last("completed", first, FIRST)
        page.say(second)
        expect(answer_of(page.last)).to_contain_text("And so it goes on.")
        # The laptop is closed in mid-answer; it is still being written on another device.
        page.page.goto("about:blank")
        expect(answer_of(other.last)).to_contain_text("And so it goes on.")
        other.stop.click()
        other.expect_last("cancelled", second)
        page.open()
        page.expect_last("cancelled", second, LONG)

        page.last.get_by_role("button", name="Edit and resend").click()
        expect(page.box).to_have_value(second)
        page.say(reworded)
        page.expect_last("completed", reworded, WHOLE)
        page.page.set_viewport_size({"width": 900, "height": 400})
        page.last.get_by_role("button", name="Regenerate").click()
        for one in (page, other):
            expect(one.last.locator(".turnlog-pager")).to_contain_text("3 / 3", timeout=40_000)
            one.expect_last("completed", reworded, WHOLE)
            expect(one.turns).to_have_count(3)
        # A turn went and another came: the page is still at its end.
        expect(page.page.locator(".turnlog-end")).to_be_in_viewport()
        expect(page.page.locator("#turnlog-newest")).to_be_hidden()

        # Back by the keyboard: the focus stays in the pager, and both see what is current.
        page.last.get_by_role("button", name="Previous version").focus()
        page.page.keyboard.press("ArrowLeft")
        expect(page.last.locator(".turnlog-pager")).to_contain_text("2 / 3")
        expect(page.last.get_by_role("button", name="Previous version")).to_be_focused()
        page.page.keyboard.press("ArrowLeft")
        for one in (page, other):
            one.expect_last("cancelled", second, LONG)
            expect(one.turns).to_have_count(3)
        expect(page.last.get_by_role("button", name="Next version")).to_be_focused()
        page.page.keyboard.press("ArrowRight")
        page.expect_last("completed", reworded, WHOLE)

        # The first message is changed; what is in the box comes back.
        page.box.fill("a draft")
        turn = page.turns.nth(1)
        turn.hover()
        turn.get_by_role("button", name="Edit").click()
        expect(page.box).to_have_value(first)
        expect(page.page.locator("#turnlog-editing")).to_be_visible()
        page.say(changed)
        for one in (page, other):
            one.expect_last("completed", changed, OTHER)
            expect(one.turns).to_have_count(2)
        expect(page.box).to_have_value("a draft")
        page.page.reload()
        page.expect_last("completed", changed, OTHER)
        page.last.get_by_role("button", name="Previous version").click()
        for one in (page, other):
            one.expect_last("completed", reworded, WHOLE)
            expect(one.turns).to_have_count(3)
        assert page.text() == other.text()
