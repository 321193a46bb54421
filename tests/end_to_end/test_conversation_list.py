"""A person's conversations: as a page, beside a chat, on a phone, and without JavaScript."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from .browser import watched_context
from .model_server import ModelServer
from .npm import installed
from .project import Server
from .test_review import AXE

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

WIDE = {"width": 1400, "height": 800}


def test_the_first_words_name_a_conversation_beside_the_others(
    browser: Browser,
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    words: Callable[[], str],
) -> None:
    said = f"<b>{words()}</b>"
    model_server.answer(said, "An answer.")
    with watched_context(browser, sessions["ada"], viewport=WIDE) as context:
        page = context.new_page()
        page.goto(f"{server.url}/conversations/")
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator("#turnlog")).to_have_attribute(
            "data-connection", "connected", timeout=40_000
        )
        panel = page.get_by_role("navigation", name="Your conversations")
        expect(panel.locator("[aria-current=page]")).to_have_text(re.compile("Conversation"))
        page.locator("#turnlog-text").fill(said)
        page.locator("#turnlog-text").press("Enter")
        expect(page.locator("#turnlog-log > li")).to_have_attribute(
            "data-outcome", "completed", timeout=40_000
        )
        expect(panel.locator("[aria-current=page]")).to_have_text(said)
        expect(page.get_by_role("heading", level=1)).to_have_text(said)
        # Where there is no room, a link leads to the page.
        page.set_viewport_size({"width": 390, "height": 800})
        expect(panel).to_be_hidden()
        page.get_by_role("link", name="Conversations").click()
        expect(page.get_by_role("link", name=said)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_list(
    browser: Browser, server: Server, sessions: dict[str, str], scheme: Any
) -> None:
    """By the rules of axe: nothing serious, on the page and beside a chat."""
    if os.environ.get("TURNLOG_WITHOUT_NPM") == "1":
        pytest.skip("TURNLOG_WITHOUT_NPM=1: no axe-core from npm")
    axe = (installed(*AXE) / "axe.min.js").read_text(encoding="utf-8")
    with watched_context(browser, sessions["ada"], viewport=WIDE, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(f"{server.url}/conversations/")
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator(".turnlog-panel [aria-current=page]")).to_be_visible(timeout=40_000)
        for address in (page.url, f"{server.url}/conversations/"):
            page.goto(address)
            if page.locator("summary").count():
                page.locator("summary").first.click()
            page.evaluate(axe)
            found = page.evaluate("() => axe.run().then((results) => results.violations)")
            serious = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
            assert serious == [], address


def test_without_javascript(browser: Browser, server: Server, sessions: dict[str, str]) -> None:
    options = {"java_script_enabled": False, "locale": "ko-KR", "color_scheme": "dark"}
    with watched_context(browser, sessions["ada"], **options) as context:
        page = context.new_page()
        page.goto(f"{server.url}/analyst/")
        analysts = re.search(r"/ws/analyst/(\d+)/", page.content())
        assert analysts
        page.goto(f"{server.url}/conversations/")
        page.get_by_role("button", name="새 대화").click()
        here = page.url
        page.goto(f"{server.url}/conversations/")
        expect(page.locator(f"#conversation-{analysts[1]}")).to_have_count(0)
        pk = here.rstrip("/").rpartition("/")[2]
        row = page.locator(f"#conversation-{pk}")
        row.locator("summary").click()
        row.get_by_role("textbox", name="이름").fill("라떼 <i>두 잔</i>")
        row.get_by_role("button", name="이름 바꾸기").click()
        expect(row.get_by_role("link")).to_have_text("라떼 <i>두 잔</i>")
        page.get_by_role("searchbox").fill("두 잔")
        page.get_by_role("button", name="찾기").click()
        expect(page.locator(".turnlog-list > li")).to_have_count(1)
        row.locator("summary").click()
        row.get_by_role("button", name="이 대화 비우기").click()
        expect(row.get_by_role("link")).to_have_text("라떼 <i>두 잔</i>")
