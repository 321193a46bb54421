"""How each kind of answer ends on the page, in both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from .browser import chat_page
from .project import Project
from .scripted_model import DONE, ScriptedModel

pytestmark = [pytest.mark.browser, pytest.mark.slow_once]


def chunk(delta: Any, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    kind = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    return b"data: " + json.dumps({**kind, "model": "m", "choices": [choice]}).encode() + b"\n\n"


WORDS = chunk({"content": "To make a latte, first"})
ERROR = {"error": {"message": "It broke.", "code": "server_error"}}
# The stream, how the turn ended, and what is said of it in English and in Korean.
ENDINGS: dict[str, tuple[list[bytes], str, str, str]] = {
    "whole": ([WORDS, chunk({}, "stop"), DONE], "completed", "", ""),
    "length": (
        [WORDS, chunk({}, "length"), DONE],
        "completed",
        "The answer ends here because it reached its limit of length.",
        "답변이 길이 제한에 걸려 여기서 끝났습니다.",
    ),
    "filtered": (
        [WORDS, chunk({}, "content_filter"), DONE],
        "failed",
        "The provider's filter withheld the answer.",
        "모델 제공사의 필터가 답변을 막았습니다.",
    ),
    "declined": (
        [chunk({"refusal": "I can't help with that."}), chunk({}, "stop"), DONE],
        "failed",
        "The model declined to answer this.",
        "모델이 이 요청에 답하지 않기로 했습니다.",
    ),
    "empty": (
        [chunk({}, "stop"), DONE],
        "failed",
        "The model ended without an answer.",
        "모델이 답변 없이 끝냈습니다.",
    ),
    "failed": (
        [WORDS, b"data: " + json.dumps(ERROR).encode() + b"\n\n"],
        "failed",
        "The model has a problem right now.",
        "지금은 모델에 문제가 있습니다.",
    ),
    "cut off": (
        [WORDS],
        "failed",
        "The model's answer broke off.",
        "모델의 답변이 도중에 끊겼습니다.",
    ),
}


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_each_ending_is_told_in_the_readers_language(
    project: Project,
    browser: Browser,
    scripted_model: ScriptedModel,
    sessions: dict[str, str],
    room: int,
    tmp_path: Path,
    locale: str,
) -> None:
    with (
        project.server(OPENAI_BASE_URL=scripted_model.url) as server,
        chat_page(browser, server, room, sessions["ada"], locale=locale) as page,
    ):
        for name, (script, outcome, english, korean) in ENDINGS.items():
            scripted_model.say(*script)
            page.say(f"{name}?")
            sentence = english if locale == "en-US" else korean
            page.expect_last(outcome, f"{name}?")
            expect(page.last).to_contain_text(sentence)
            if WORDS in script:
                expect(page.last).to_contain_text("To make a latte, first")
            page.page.screenshot(path=tmp_path / f"{name}.png")
        page.page.reload()
        for name, (_, _, english, korean) in ENDINGS.items():
            turn = page.turns.filter(has_text=f"{name}?")
            expect(turn).to_contain_text(english if locale == "en-US" else korean)
        page.page.screenshot(path=tmp_path / "all.png", full_page=True)
