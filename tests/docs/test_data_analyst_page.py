"""The demo's offline analyst knows what the page tells people to ask, in both languages."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import matplotlib
import pandas as pd
import pytest

from tests.docs.pages import DOCS, TUTORIAL, text_of
from tests.docs.rendered import blocks
from tests.docs.test_docs import headings

pytestmark = pytest.mark.slow_once

PAGES = ("data-analyst.md", "ko/data-analyst.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_offline_analyst_writes_code_that_runs(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(TUTORIAL)
    monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")
    code_for: Any = import_module("analyst.offline_analyst")._code
    asked = re.findall(r'"([^"]+주세요)"', text_of(f"docs/{page}"))
    assert len(asked) == 2
    drawn: list[str] = []
    monkeypatch.setattr(pd.Series, "plot", lambda series, **kw: drawn.append(kw["title"]))
    plt: Any = type("plt", (), {"tight_layout": staticmethod(lambda: None)})
    for question in [*asked, "평균은?", "how many rows?", "Draw a chart of the drinks", "?"]:
        drawn.clear()
        names = {"df": pd.read_csv(TUTORIAL / "analyst" / "cafes.csv"), "plt": plt}
        *lines, last = code_for(question).splitlines()
        exec("\n".join(lines), names)
        value = eval(last, names)
        assert value is not None or drawn
        assert bool(drawn) == any(word in question for word in ("그래프", "Draw"))


def test_both_languages_show_the_same() -> None:
    english, korean = (DOCS / page for page in PAGES)
    assert headings(english) == headings(korean)
    shown = [[(b.file, b.code) for b in blocks(page)] for page in (english, korean)]
    assert shown[0] == shown[1]
