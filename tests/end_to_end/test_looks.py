"""The page in both languages, light and dark, on a phone's width."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from .browser import ChatPage, chat_page
from .model_server import ModelServer
from .project import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

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


DIRECTIONS = """- עברית *ואז* english
- English item, then עברית

> مرحبا بالعالم

| الاسم | السعر |
|---|---|
| قهوة | 5 |

| a heading | another heading | and one more | the last of them |
|---|---|---|---|
| words_that_do_not_break | words_that_do_not_break | words_that_do_not_break | end |

```python
x = "שלום"
```
"""


@pytest.fixture
def answer(
    browser: Browser,
    server: Server,
    model_server: ModelServer,
    sessions: dict[str, str],
    words: Callable[[], str],
    room: int,
) -> Iterator[ChatPage]:
    """A phone's page with an answer in several directions."""
    said = words()
    model_server.answer(said, DIRECTIONS)
    options = {"viewport": PHONE, "color_scheme": "dark"}
    with chat_page(browser, server, room, sessions["ada"], **options) as page:
        page.say(said)
        page.expect_last("completed", said)
        yield page


def test_marks_and_bars_are_where_their_words_begin(answer: ChatPage) -> None:
    hebrew, english = answer.last.locator("li").all()
    expect(hebrew).to_have_css("direction", "rtl")
    expect(hebrew).to_have_css("margin-right", "24px")
    expect(hebrew).to_have_css("margin-left", "0px")
    expect(english).to_have_css("direction", "ltr")
    expect(english).to_have_css("margin-left", "24px")
    quotation = answer.last.locator("blockquote")
    expect(quotation).to_have_css("border-right-width", "3px")
    expect(quotation).to_have_css("border-left-width", "0px")
    table = answer.last.locator("table").first
    first, number = (table.locator(cell) for cell in ("th >> nth=0", "td >> nth=1"))
    assert left(first) > left(number)
    expect(number).to_have_css("direction", "rtl")
    expect(answer.last.locator("pre")).to_have_css("direction", "ltr")


def left(element: Locator) -> float:
    box = element.bounding_box()
    assert box is not None
    return box["x"]


def test_a_wide_table_scrolls_in_its_box_by_keyboard(answer: ChatPage) -> None:
    assert_nothing_sticks_out(answer)
    box = answer.last.locator(".turnlog-table").last
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    assert "local" in box.evaluate("box => getComputedStyle(box).backgroundAttachment")
    answer.last.locator(".turnlog-table").first.focus()
    answer.page.keyboard.press("Tab")
    expect(box).to_be_focused()
    answer.page.keyboard.press("ArrowRight")
    answer.page.wait_for_function("box => box.scrollLeft > 0", arg=box.element_handle())


def test_on_paper_nothing_is_cut_off_and_who_spoke_is_said(answer: ChatPage) -> None:
    answer.page.emulate_media(media="print")
    for heading in answer.last.locator("h2").all():
        box = heading.bounding_box()
        assert box is not None
        assert box["height"] > 10
    expect(answer.last.locator("time")).to_have_css("opacity", "1")
    expect(answer.last.locator("time")).not_to_have_css("display", "none")
    expect(answer.last.locator("pre")).to_have_css("white-space", "pre-wrap")
    expect(answer.last.locator(".turnlog-table").last).to_have_css("overflow", "visible")
    assert_nothing_sticks_out(answer)
    # Dark words on white paper, also for a reader who prefers dark pages.
    expect(answer.last.locator("pre")).to_have_css("color", "rgb(33, 36, 42)")
