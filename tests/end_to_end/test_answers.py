"""An answer on the page while it is written: what it ends as, and how many bytes that takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from .browser import ChatPage, answer_of, chat_page
from .model_server import ModelServer
from .project import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

CODE = "```python\n" + "".join(
    f"    if x{n} < {n} && y[{n}] != '<b>':  # 값 {n}\n        yield x{n}\n" for n in range(420)
)
LONG_CODE = f"Here it is:\n\n{CODE}```\n\nThat *is* all."
EVERYTHING = r"""# A **title** with `code`

Words *with emphasis that goes on for a while*, https://example.com/a입니다. And \( a_1 * b \), $x$.
A list that has no line before it:
- one **thing that is bold and long enough to be cut**: words, words, words, and more words
- two things
  - within it, `code that is long enough to be cut as well, by any chunk`
  - [ ] to do
  - [x] done

- and now the items are far apart

    ```sql
    SELECT 1 < 2 & 3;
    ```

1. مرحبا بالعالم **نص غامق طويل بما يكفي**
2. Ελληνικά

> שלום עולם, *זה ציטוט*
> and more

| name | price | note |
|------|------:|:----:|
| latte | $5 and $10 | **bold words in a cell** |
| 拿铁 | 32 | ![a cat](https://example.com/cat.png) |
| mocha | 7 | last |

$$
a_1 = b_1 \\
- c
$$

```
no language, and ``ticks``
```
---
The [end](https://example.com/x_y_z).
"""


@pytest.fixture
def page(
    browser: Browser, server: Server, sessions: dict[str, str], room: int
) -> Iterator[ChatPage]:
    with chat_page(browser, server, room, sessions["ada"]) as page:
        yield page


@pytest.mark.parametrize(("text", "chunk"), [(EVERYTHING, 7), (EVERYTHING, 61), (LONG_CODE, 180)])
def test_what_grew_is_what_a_reload_shows(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str], text: str, chunk: int
) -> None:
    said = words()
    model_server.answer(said, text, pace=40, chunk=chunk)
    page.say(said)
    page.expect_last("completed", said)
    assert len({answer for outcome, answer in page.seen() if outcome == "open"}) > 3
    expect(page.last.locator(".turnlog-thinking, .turnlog-raw, [data-kept]")).to_have_count(0)
    grown = page.last.evaluate("turn => turn.outerHTML")
    page.page.reload()
    page.expect_last("completed", said)
    assert page.last.evaluate("turn => turn.outerHTML") == grown
    assert page.last.evaluate("turn => turn.parentElement.querySelectorAll('img').length") == 0


def test_what_grew_after_a_tool_is_what_a_reload_shows(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.call_tool(said, "look_up_price", {"name": "拿铁"}, then="It is **32** yuan.")
    received = frames_of(page.page)
    page.page.reload()
    page.expect_connection("connected")
    page.say(said)
    page.expect_last("completed", said)
    assert_the_end_is_short(received)
    grown = page.last.evaluate("turn => turn.outerHTML")
    page.page.reload()
    page.expect_last("completed", said)
    assert page.last.evaluate("turn => turn.outerHTML") == grown


def test_thoughts_and_tools_at_once_are_what_a_reload_shows(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said, thought = words(), "Two prices. <img src=x onerror=alert(1)>\n\nThe sum is 60."
    prices = [("look_up_price", {"name": name}) for name in ("拿铁", "美式")]
    model_server.think_and_call(said, prices, "It is **60** yuan.", thought)
    page.say(said)
    page.expect_last("completed", said)
    expect(page.last.locator(".turnlog-tool-state[data-status=ok]")).to_have_count(2)
    folded = page.last.locator("details.turnlog-thought")
    expect(folded.locator("p")).to_be_hidden()
    folded.locator("summary").click()
    expect(folded.locator("p")).to_have_text(thought)
    folded.locator("summary").click()
    expect(page.last.locator(".turnlog-call").last).to_contain_text("stop")
    grown = page.last.evaluate("turn => turn.outerHTML")
    page.page.reload()
    page.expect_last("completed", said)
    assert page.last.evaluate("turn => turn.outerHTML") == grown


def test_a_long_code_costs_at_most_three_times_its_text(
    browser: Browser,
    server: Server,
    sessions: dict[str, str],
    room: int,
    model_server: ModelServer,
    words: Callable[[], str],
) -> None:
    said = words()
    model_server.answer(said, LONG_CODE, pace=5, chunk=40)
    with chat_page(browser, server, room, sessions["ada"]) as page:
        received = frames_of(page.page)
        page.page.reload()
        page.expect_connection("connected")
        received.clear()
        page.say(said)
        page.expect_last("completed", said)
    frames = [len(frame.encode()) for frame in received]
    assert len(frames) > 5
    assert sum(frames) <= 3 * len(LONG_CODE.encode())
    assert_the_end_is_short(received)


def assert_the_end_is_short(received: list[str]) -> None:
    """What the page has is not sent again when the turn ends."""
    last = next(frame for frame in reversed(received) if "turnlog-cursor" in frame)
    assert re.search("data-outcome=.completed.[^>]* data-kept", last)
    assert len(last) < 1_000


def frames_of(page: Page) -> list[str]:
    """The text frames that a page's sockets receive from now on."""
    received: list[str] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: received.append(str(payload)))

    page.on("websocket", watch)
    return received


def test_a_reader_keeps_what_is_selected_while_the_answer_grows(
    page: ChatPage, model_server: ModelServer, words: Callable[[], str]
) -> None:
    said = words()
    model_server.answer(said, "```\nfirst line\n" + "more and more\n" * 60 + "```\n", pace=20)
    page.say(said)
    expect(answer_of(page.last)).to_contain_text("first line")
    selected = page.last.evaluate(
        "turn => { getSelection().selectAllChildren(turn.querySelector('code'));"
        " return getSelection().toString(); }"
    )
    page.expect_last("completed", said)
    assert page.page.evaluate("() => getSelection().toString()").startswith(selected)
