"""Answers and code are copied, with the clipboard's permission and without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from .browser import ChatPage, watched_context
from .model_server import ModelServer
from .project import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

CODE = "if 1 < 2:\n    print('네')"
ANSWER = f"So **it** is:\n\n```python\n{CODE}\n```\n\n| a |\n|---|\n| 1 |\n"
WITHOUT_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"


@pytest.mark.parametrize("secure", [True, False])
def test_an_answer_and_its_code_are_copied(
    browser: Browser,
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    words: Callable[[], str],
    room: int,
    secure: bool,
) -> None:
    said = words()
    model_server.answer(said, ANSWER, pace=100)
    allowed = {"permissions": ["clipboard-read", "clipboard-write"]} if secure else {}
    with watched_context(browser, sessions["ada"], **allowed) as context:
        if not secure:  # As without HTTPS.
            context.add_init_script(WITHOUT_CLIPBOARD)
        page = ChatPage(context.new_page(), server, room).open()
        page.say(said)
        page.expect_last("completed", said)
        expect(page.last.locator(".turnlog-k")).to_have_text(["if"])

        def pasted() -> str:
            page.box.fill("")
            page.box.press("Control+V")
            text = page.box.input_value()
            page.box.fill("")
            return text

        for _ in range(2):  # And after a reload.
            page.last.get_by_role("button", name="Copy", exact=True).click()
            expect(page.status).to_have_text("Copied.")
            assert pasted() == ANSWER
            code = page.last.get_by_role("button", name="Copy this code")
            code.focus()
            code.press("Enter")
            expect(code).to_have_attribute("data-done", "")
            expect(code).to_be_focused()
            assert pasted() == f"{CODE}\n"
            page.page.reload()
            page.expect_last("completed", said)
