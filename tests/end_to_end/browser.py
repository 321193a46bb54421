"""Chromium: where it is, a page that is watched, and what the tests look at on it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from .project import Server

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# Chromium and htmx themselves report these on the console; no script can prevent it.
SERVER_AWAY = (
    r"^(WebSocket connection to .* failed"
    r"|htmx:(afterRequest|sendError), "
    r"|Failed to load resource: net::ERR_(CONNECTION|INCOMPLETE_CHUNKED_ENCODING))"
)

_WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`));
addEventListener("DOMContentLoaded", () => {
  const log = document.getElementById("turnlog-log");
  if (!log) return;
  window.seen = [];
  const note = () => {
    const turn = log.lastElementChild;
    if (!turn) return;
    const answer = turn.querySelector(".turnlog-answer")?.cloneNode(true);
    answer?.querySelectorAll(".turnlog-call").forEach((call) => call.remove());
    const now = [turn.dataset.outcome, answer?.textContent.trim()];
    if (JSON.stringify(window.seen.at(-1)) !== JSON.stringify(now)) window.seen.push(now);
  };
  const everything = { childList: true, subtree: true, characterData: true, attributes: true };
  new MutationObserver(note).observe(log, everything);
  note();
});
"""


def executable(playwrights_own: str) -> str | None:
    """The path of a Chromium, None if there is none."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    own = [playwrights_own] if os.path.exists(playwrights_own) else []
    return next(iter(found + own), None)


class Watch:
    """What a page complained about on its console."""

    def __init__(self, expected: str | None) -> None:
        self._expected = expected
        self.complaints: list[str] = []

    def add(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if self._expected is None or not re.search(self._expected, message.text):
            self.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")


@contextlib.contextmanager
def watched_context(
    browser: Browser,
    session: str | None,
    *,
    expected: str | None = None,
    **options: Any,
) -> Iterator[BrowserContext]:
    """A person's browser window. Fails at the end if a page complained, but for `expected`."""
    watch = Watch(expected)
    context = browser.new_context(**{"locale": "en-US", **options})
    try:
        context.set_default_timeout(30_000)
        context.add_init_script(_WATCH)
        context.on("page", watch.add)
        if session:
            cookie = {"name": "sessionid", "value": session, "domain": "127.0.0.1", "path": "/"}
            context.add_cookies([cookie])  # type: ignore[list-item]
        yield context
    finally:
        context.close()
    if watch.complaints:
        raise AssertionError("the page complained: " + "; ".join(watch.complaints))


class ChatPage:
    """The chat page of a room, by what a person sees of it."""

    def __init__(self, page: Page, server: Server, room: int) -> None:
        self.page = page
        self._address = f"{server.url}/example/chat/{room}/"
        self.main = page.locator("#turnlog")
        self.turns = page.locator("#turnlog-log > li")
        self.last = self.turns.last
        self.box = page.locator("#turnlog-text")
        self.stop = page.locator("#turnlog-stop")
        self.notice = page.locator("#turnlog-notice")
        self.status = page.locator("#turnlog-status")
        self.pending = page.locator("#turnlog-pending")

    def go(self) -> None:
        self.page.goto(self._address)

    def open(self) -> ChatPage:
        """Go there and wait for the connection."""
        self.go()
        self.expect_connection(re.compile("connected|thinking"))
        return self

    def say(self, text: str) -> None:
        """Write into the box and press Enter."""
        self.box.fill(text)
        self.box.press("Enter")

    def expect_connection(self, state: str | re.Pattern[str]) -> None:
        expect(self.main).to_have_attribute("data-connection", state, timeout=40_000)

    def expect_last(self, outcome: str, human: str, answer: str | re.Pattern[str] = "") -> None:
        """Wait until the last turn stands so."""
        expect(self.last.locator(".turnlog-human")).to_have_text(human, timeout=40_000)
        expect(self.last).to_have_attribute("data-outcome", outcome, timeout=40_000)
        if answer:
            expect(answer_of(self.last)).to_have_text(_and_its_calls(answer))

    def text(self) -> list[tuple[str, str]]:
        """The whole conversation: what was said and answered."""
        turns = self.turns.all()
        return [
            (turn.locator(".turnlog-human").inner_text(), answer_of(turn).evaluate(_WORDS).strip())
            for turn in turns
        ]

    def seen(self) -> list[tuple[str, str]]:
        """Outcome and answer of the last turn, in all the states that it went through."""
        states: list[list[str]] = self.page.evaluate("() => window.seen")
        return [(outcome, answer) for outcome, answer in states]


def answer_of(turn: Locator) -> Locator:
    return turn.locator(".turnlog-answer")


_WORDS = """answer => [...answer.children]
    .filter(each => !each.matches(".turnlog-call")).map(each => each.innerText).join("\\n\\n")"""


def _and_its_calls(answer: str | re.Pattern[str]) -> str | re.Pattern[str]:
    """What an answer's text matches, with the line that says how its last call ended."""
    if not isinstance(answer, str):
        return answer
    words = r"\s+".join(map(re.escape, answer.split()))
    return re.compile(rf"^\s*{words}(\s*\S+ · [^\n]*)?\s*$")


@contextlib.contextmanager
def chat_page(
    browser: Browser, server: Server, room: int, session: str, **options: Any
) -> Iterator[ChatPage]:
    """An open and connected chat page in a window of its own."""
    with watched_context(browser, session, **options) as context:
        yield ChatPage(context.new_page(), server, room).open()
