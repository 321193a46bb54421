"""The page in both languages, light and dark, on a phone's width."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from .browser import ChatPage, chat_page
from .model_server import ModelServer
from .project import Server

pytestmark = pytest.mark.browser

PAPER = {"light": "rgb(251, 250, 247)", "dark": "rgb(23, 25, 24)"}
WORDS = {
    "en-US": {
        "lang": "en",
        "connection": "Connected",
        "placeholder": "Write a message",
        "send": "Send",
        "status": "Answer finished.",
        "failure": "The model server does not know this model or address.",
    },
    "ko-KR": {
        "lang": "ko",
        "connection": "연결됨",
        "placeholder": "메시지를 입력하세요",
        "send": "보내기",
        "status": "답변이 끝났습니다.",
        "failure": "모델 서버가 이 모델이나 주소를 알지 못합니다.",
    },
}
PHONE = {"width": 375, "height": 740}


def assert_nothing_sticks_out(page: ChatPage) -> None:
    width, content = page.page.evaluate(
        "() => [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert content <= width == PHONE["width"]
    page.page.evaluate("() => scrollTo({ left: 500, behavior: 'instant' })")
    assert page.page.evaluate("() => scrollX") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", list(WORDS))
def test_on_a_phone_nothing_sticks_out_and_everything_is_in_one_language(
    browser: Browser,
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    words: Callable[[], str],
    locale: str,
    scheme: str,
) -> None:
    said, failing = words(), words()
    long = "拿铁" * 60
    model_server.call_tool(said, "look_up_price", {"name": long}, then=f"A `{'x' * 90}`.")
    model_server.refuse(failing, 404, "no such model")
    expected = WORDS[locale]
    with chat_page(
        browser,
        server,
        1,  # The room with a table, code and long words.
        sessions["ada"],
        locale=locale,
        color_scheme=scheme,
        viewport=PHONE,
    ) as page:
        expect(page.page.locator("html")).to_have_attribute("lang", expected["lang"])
        expect(page.page.locator("[data-when=connected]")).to_have_text(expected["connection"])
        expect(page.box).to_have_attribute("placeholder", expected["placeholder"])
        expect(page.page.locator("#turnlog-send")).to_have_text(expected["send"])
        expect(page.page.locator("body")).to_have_css("background-color", PAPER[scheme])
        expect(page.turns.first.locator("table")).to_be_visible()
        assert_nothing_sticks_out(page)

        page.say(said)
        page.expect_last("completed", said)
        expect(page.status).to_have_text(expected["status"])
        page.last.locator("details summary").click()
        expect(page.last.locator("details pre").first).to_be_visible()
        page.say(failing)
        page.expect_last("failed", failing)
        expect(page.last.locator(".turnlog-outcome")).to_contain_text(expected["failure"])
        page.box.fill("A long draft that goes over several lines. " * 6)
        assert_nothing_sticks_out(page)
