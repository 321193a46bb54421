"""What the model reads of a run of code, and what the log keeps of it."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
from langchain_core.messages import ToolMessage
from PIL import Image

from turnlog.consumers.analysis.told import failed, told
from turnlog.consumers.analysis.tool import NAME, python_tool
from turnlog.consumers.sandbox import Outcome
from turnlog.core import codec
from turnlog.core.errors import SandboxRefused

pytestmark = pytest.mark.slow_once


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), "teal").save(file, "PNG")
    return file.getvalue()


TABLE = pd.DataFrame({"도시": ["서울"] * 500, "note": ["z" * 5_000] * 500})


@pytest.mark.parametrize(
    ("outcome", "kinds", "words"),
    [
        (Outcome(), [], "without a result"),
        (Outcome(value=0), [int], "0"),
        (Outcome(value=False), [bool], "False"),
        (Outcome(value="서울"), [str], "서울"),
        (Outcome(value=TABLE), [pd.DataFrame], "(500 rows, 2 columns)"),
        (Outcome(value=TABLE["도시"]), [pd.Series], "서울"),
        (Outcome(charts=(png(),)), [Image.Image], "A chart was drawn"),
        (Outcome(printed="a", value=1, charts=(png(),)), [str, int, Image.Image], "A chart"),
        (Outcome(value=2, notice="The worker was restarted."), [int], "restarted"),
    ],
)
def test_each_result_is_told_shortly_and_kept_whole(
    outcome: Outcome, kinds: list[type], words: str
) -> None:
    content, kept = told(outcome)
    assert words in content
    assert len(content) <= 10_000
    parts = kept if len(kinds) > 1 else [kept] if kinds else []
    assert len(parts) == len(kinds)
    assert all(map(isinstance, parts, kinds))
    back = codec.decode(codec.encode(kept))
    assert (back is None) == (kept is None)


def test_long_output_is_cut_for_the_model() -> None:
    content, kept = told(Outcome(printed="p" * 100_000, value="v" * 100_000))
    assert len(content) <= 10_000
    assert [len(part) for part in kept] == [100_000, 100_000]


def test_what_failed_is_cut_too_and_says_what_it_was() -> None:
    error = "Traceback, line 1\n" + "y" * 100_000 + "\nValueError: no such column"
    text = failed(Outcome(printed="p" * 100_000, error=error, notice="Started again."))
    assert len(text) <= 10_000
    for words in ("Traceback, line 1", "ValueError: no such column", "Started again."):
        assert words in text


def test_the_model_sees_charts_if_it_is_asked_for() -> None:
    content, _ = told(Outcome(charts=(png(), png())), with_pictures=True)
    assert [block["type"] for block in content] == ["text", "image", "image"]  # type: ignore[index]


async def test_the_tool_is_that_of_the_original() -> None:
    outcomes: list[Any] = [Outcome(error="ZeroDivisionError", printed="so far"), Outcome(value=3)]

    async def run(code: str) -> Outcome:
        if not outcomes:
            raise SandboxRefused("no sandbox")
        return outcomes.pop()

    tool = python_tool(run)
    schema = tool.tool_call_schema.model_json_schema()  # type: ignore[union-attr]
    assert (tool.name, list(schema["properties"])) == (NAME, ["code"])
    call = {"type": "tool_call", "name": NAME, "id": "1", "args": {"code": "3"}}

    async def called() -> ToolMessage:
        message = await tool.ainvoke(call)
        assert isinstance(message, ToolMessage)
        return message

    assert ((m := await called()).content, m.artifact, m.status) == ("3", 3, "success")
    assert ((m := await called()).content, m.status) == ("so far\n\nZeroDivisionError", "error")
    assert "no sandbox" in str((m := await called()).content)
    assert m.status == "error"
