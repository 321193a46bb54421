"""docs/quickstart.md, followed to the letter: in an empty environment, from the wheel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.built_wheel import built_wheel
from tests.docs.pages import text_of

from .browser import SERVER_AWAY, watched_context
from .model_server import ModelServer
from .reader import Reader

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

# The login page has no icon, and a page may be open while the reader stops the server.
EXPECTED = f"{SERVER_AWAY}|the server responded with a status of 404"


@pytest.fixture
def window(browser: Browser) -> Iterator[Page]:
    with watched_context(browser, None, expected=EXPECTED) as context:
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
        {
            "PIP_CONSTRAINT": str(constraint),
            "PIP_NO_COMPILE": "1",  # Most of it is not imported.
            "OPENAI_BASE_URL": model_server.url,
        },
    )
    try:
        reader.follow(text_of("docs/quickstart.md"))
        answer = window.locator(".turnlog-answer").last
        expect(answer).to_contain_text("Yes, for all our drinks.", timeout=40_000)
        expect(answer.locator(".turnlog-call")).to_contain_text("gpt-4o")
        reader.close()
        done = ["typed", "written", "seen", "open", "log_in", "say", "reload", "stop"]
        assert set(done) <= {*reader.done}, "the page says what this reader does not understand"
        assert reader.done.count("written") == 9
        assert reader.done.count("seen") == 5

        # Four pages go on from there.
        reader.type("unset OPENAI_API_KEY")
        reader.follow(text_of("docs/several-rooms.md"))
        reader.follow(text_of("docs/over-http.md"))
        reader.follow(text_of("docs/look.md"))
        reader.follow(text_of("docs/static-files.md"))
        scripts = sorted(path.name for path in home.glob("cafe/staticfiles/turnlog/*.js"))
        assert re.fullmatch(r"attachments\.[0-9a-f]{12}\.js", scripts[0])
        reader.type("python manage.py runserver")
        reader.follow("Open <http://127.0.0.1:8000/rooms/2/>.")
        expect(window.get_by_role("link", name="Admin")).to_be_visible()
        column = "getComputedStyle(document.querySelector('.turnlog-column')).maxWidth"
        assert window.evaluate(column) == "872px", "52rem and a gutter of 1.25rem at both sides"
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
