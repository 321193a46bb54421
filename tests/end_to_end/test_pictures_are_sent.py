"""Pictures and files on the page: chosen, pasted, dropped, refused, removed, sent, seen again."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.consumers.pictures import PDF, picture, with_location

from .browser import SERVER_AWAY, ChatPage, watched_context
from .project import Project, Server
from .scripted_model import DONE, ScriptedModel, delta
from .test_over_http import APPLICATION, HttpPage

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]

ANSWER = re.compile(r"^I see\.")  # Below it is how the call ended.
# Chromium itself reports refusals, too.
EXPECTED = f"{SERVER_AWAY}|the server responded with a status of 4"


@pytest.fixture(scope="module")
def server(project: Project, scripted_model: ScriptedModel) -> Iterator[Server]:
    with project.server(APPLICATION, OPENAI_BASE_URL=scripted_model.url) as server:
        yield server


class Seen:
    """What the model is sent; it fails the first time, if it is told to."""

    def __init__(self, model: ScriptedModel) -> None:
        self.requests: list[dict[str, Any]] = []
        self.fails = False
        model.script = self._script

    def _script(self, request: dict[str, Any]) -> Iterator[bytes]:
        self.requests.append(request)
        if self.fails:
            return iter([delta("", "content_filter"), DONE])
        return iter([delta("I see."), delta("", "stop"), DONE])

    @property
    def blocks(self) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = self.requests[-1]["messages"][-1]["content"]
        return blocks

    @property
    def kinds(self) -> list[str]:
        return [block["type"] for block in self.blocks]


def files(*given: tuple[str, str, bytes]) -> Any:
    return [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in given]


def bring(page: Page, event: str, target: str, name: str, kind: str, data: bytes) -> None:
    """Paste or drop a file, as a browser tells a page."""
    page.evaluate(
        """([event, target, name, type, data]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, { type }));
          const told = { bubbles: true, cancelable: true };
          document.querySelector(target).dispatchEvent(
            event === "paste"
              ? new ClipboardEvent(event, { ...told, clipboardData: transfer })
              : new DragEvent(event, { ...told, dataTransfer: transfer }),
          );
        }""",
        [event, target, name, kind, base64.b64encode(data).decode()],
    )


def loaded(pictures: Locator) -> None:
    """Wait until the browser has drawn them: it does as they come into sight."""
    for one in pictures.all():
        one.scroll_into_view_if_needed()
        expect(one).to_have_js_property("complete", True)
        assert one.evaluate("image => image.naturalWidth") > 0


def test_what_is_chosen_pasted_and_dropped_is_sent_and_seen_again(
    browser: Browser,
    server: Server,
    sessions: dict[str, str],
    room: int,
    scripted_model: ScriptedModel,
) -> None:
    seen = Seen(scripted_model)
    with watched_context(browser, sessions["ada"], expected=EXPECTED) as context:
        page = ChatPage(context.new_page(), server, room).open()
        chips = page.page.locator("#turnlog-attached > li:not([data-sending])")
        page.box.fill("What do you see?")
        page.page.set_input_files(
            "#turnlog-file",
            files(
                ("photo.jpg", "image/jpeg", with_location()),
                ("../t.csv", "image/png", "이름\n".encode("cp949")),
                ("broken.png", "image/png", b"\x89PNG\r\n\x1a\n no"),
            ),
        )
        expect(page.notice).to_have_text(
            "broken.png: This is not a picture that can be read: it is damaged or cut off."
        )
        expect(chips).to_have_count(2)
        bring(page.page, "paste", "#turnlog-text", "image.png", "image/png", picture("PNG"))
        expect(chips).to_have_count(3)
        bring(page.page, "drop", "#turnlog", "r.pdf", "application/pdf", PDF)
        expect(chips).to_have_count(4)
        page.page.get_by_role("button", name="Remove t.csv").press("Enter")
        expect(chips).to_have_count(3)
        expect(page.box).to_have_value("What do you see?")
        expect(page.box).to_be_focused()

        # The server dies before the message, and the page is loaded again.
        server.kill()
        page.expect_connection(re.compile("offline|unavailable"))
        page.box.press("Enter")
        expect(page.pending).to_contain_text("photo.jpg")
        server.start()
        page.page.reload()
        page.expect_last("completed", "What do you see?", ANSWER)
        assert seen.kinds == [
            "text",
            "image_url",
            "image_url",
            "file",
        ]
        assert "SECRET" not in json.dumps(seen.blocks)
        assert len(seen.requests) == 1

        page.page.reload()
        shown = page.last.locator(".turnlog-sent-picture")
        expect(shown).to_have_count(2)
        loaded(shown)
        expect(shown.first).to_have_attribute("alt", "Picture: photo.jpg")
        with page.page.expect_download() as download:
            page.last.get_by_role("link", name="r.pdf").click()
        assert download.value.path().read_bytes() == PDF

        # A turn that failed is sent again with its files, though nothing waits any more.
        seen.fails = True
        page.page.set_input_files("#turnlog-file", files(("b.png", "image/png", picture("PNG"))))
        expect(chips).to_have_count(1)
        page.box.press("Enter")  # Without a word.
        expect(page.last).to_have_attribute("data-outcome", "failed")
        seen.fails = False
        page.last.get_by_role("button", name="Edit and resend").click()
        expect(chips).to_have_count(1)
        page.say("Again, please.")
        page.expect_last("completed", "Again, please.", ANSWER)
        assert seen.kinds == ["text", "image_url"]


def test_over_http_and_in_korean_on_a_phone(
    browser: Browser,
    server: Server,
    sessions: dict[str, str],
    room: int,
    scripted_model: ScriptedModel,
) -> None:
    seen = Seen(scripted_model)
    phone = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}
    options: Any = {"locale": "ko-KR", "color_scheme": "dark", **phone}
    with watched_context(browser, sessions["ada"], expected=EXPECTED, **options) as context:
        page = HttpPage(context.new_page(), server, room)
        page.open()
        chips = page.page.locator("#turnlog-attached > li:not([data-sending])")
        button = page.page.get_by_role("button", name="사진이나 파일 추가")
        with page.page.expect_file_chooser() as chooser:
            button.click()
        chooser.value.set_files(
            files(*[(f"{n}.png", "image/png", picture("PNG")) for n in range(11)])
        )
        expect(page.notice).to_contain_text("10개까지만")
        expect(chips).to_have_count(10)
        for _ in range(8):
            chips.last.get_by_role("button").click()
        expect(chips).to_have_count(2)
        page.box.fill("무엇이 보이나요?")
        page.page.locator("#turnlog-send").click()
        page.expect_last("completed", "무엇이 보이나요?", ANSWER)
        assert seen.kinds == ["text", "image_url", "image_url"]
        loaded(page.last.locator(".turnlog-sent-picture"))
        width = page.page.evaluate("document.documentElement.scrollWidth")
        assert width == 360
