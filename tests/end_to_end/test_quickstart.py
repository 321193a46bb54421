"""docs/quickstart.md, followed to the letter: in an empty environment, from the wheel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.built_wheel import built_wheel
from tests.docs.pages import text_of

from .browser import watched_context
from .model_server import ModelServer
from .reader import Reader

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

# The login page's icon, which the page does not talk about.
NO_ICON = "Failed to load resource: the server responded with a status of 404"


@pytest.fixture
def window(browser: Browser) -> Iterator[Page]:
    with watched_context(browser, None, expected=NO_ICON) as context:
        yield context.new_page()


def test_the_quickstart_can_be_followed_to_the_letter(
    tmp_path: Path, window: Page, model_server: ModelServer
) -> None:
    """It needs a package index, as a reader does: pip installs what the wheel requires."""
    wheel = built_wheel(tmp_path)
    # Whatever an index has under this name, this wheel is installed.
    constraint = tmp_path / "constraints.txt"
    constraint.write_text(f"django-turnlog @ {wheel.as_uri()}\n")
    home = tmp_path / "home"
    home.mkdir()
    model_server.answer("Do you have oat milk?", "Yes, for all our drinks.")
    reader = Reader(
        home,
        window,
        {"PIP_CONSTRAINT": str(constraint), "OPENAI_BASE_URL": model_server.url},
    )
    try:
        reader.follow(text_of("docs/quickstart.md"))
        expect(window.locator(".turnlog-answer").last).to_have_text(
            "Yes, for all our drinks.", timeout=40_000
        )
    finally:
        reader.close()

    [request] = model_server.requests("Do you have oat milk?")
    assert [message["content"] for message in request["body"]["messages"]] == [
        "You help the customers of Café Latte. Be brief.",
        "Where is my order?",
        "You said: Where is my order?",
        "Do you have oat milk?",
    ]
    assert request["body"]["model"] == "gpt-4o"
    # The page still says what this reader understands.
    done = ["typed", "written", "seen", "open", "log_in", "say", "reload", "stop"]
    assert set(done) <= {*reader.done}
    assert reader.done.count("written") >= 9
    assert reader.done.count("seen") >= 5
