"""A tool's call that waits for a person, on the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from .browser import chat_page
from .project import Project
from .scripted_model import DONE, ScriptedModel, delta

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]


def asks_first(request: dict[str, Any]) -> Iterator[bytes]:
    """Call the tool; then say what it gave."""
    last = request["messages"][-1]
    if last["role"] == "tool":
        yield delta(f"I read: {last['content']}")
        yield delta("", "stop")
    else:
        function = {"name": "look_up_price", "arguments": json.dumps({"name": "latte"})}
        call = {"index": 0, "id": "call-1", "type": "function", "function": function}
        chunk = json.loads(delta().removeprefix(b"data: "))
        chunk["choices"][0]["delta"] = {"content": "Let me see.", "tool_calls": [call]}
        yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
        yield delta("", "tool_calls")
    yield DONE


def test_a_call_is_approved_by_the_keyboard_rejected_with_a_reason_and_stopped(
    project: Project,
    browser: Browser,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    tmp_path: Path,
) -> None:
    scripted_model.script = asks_first
    with (
        project.server("waiting_chats:application", OPENAI_BASE_URL=scripted_model.url) as server,
        chat_page(browser, server, room, sessions["ada"]) as page,
    ):
        page.say("How much?")
        page.expect_last("waiting", "How much?")
        expect(page.last.get_by_text("Waits for approval")).to_be_visible()
        page.page.screenshot(path=tmp_path / "waiting.png", full_page=True)
        approve = page.last.get_by_role("button", name="Approve")
        approve.focus()
        page.page.keyboard.press("Enter")
        page.expect_last("completed", "How much?")
        expect(page.last.locator(".turnlog-tool")).to_have_count(1)
        expect(page.last).to_contain_text("I read:")
        shown = page.text()

        page.say("And tea?")
        page.expect_last("waiting", "And tea?")
        page.page.reload()  # Another day.
        page.expect_last("waiting", "And tea?")
        page.last.get_by_label("Reason for rejecting it").fill("Not today.")
        page.last.get_by_role("button", name="Reject").click()
        page.expect_last("completed", "And tea?")
        expect(page.last.get_by_text("Rejected")).to_be_visible()
        expect(page.last).to_contain_text("Not today.")
        page.page.screenshot(path=tmp_path / "rejected.png", full_page=True)

        page.say("And milk?")
        page.expect_last("waiting", "And milk?")
        page.last.get_by_role("button", name="Stop").click()
        page.expect_last("cancelled", "And milk?")
        expect(page.last.get_by_role("button", name="Approve")).to_have_count(0)
        assert page.text()[0] == shown[0]
        page.page.reload()
        page.expect_last("cancelled", "And milk?")
        expect(page.last.locator(".turnlog-tool")).to_have_count(1)
        expect(page.last.locator(".turnlog-tool-state")).to_have_text("Stopped")
