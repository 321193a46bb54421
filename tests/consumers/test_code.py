"""Code is highlighted: how, and how much of it."""

from __future__ import annotations

import html
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.consumers.markdown import render
from turnlog.consumers.markdown.code import (
    CLASSES,
    LANGUAGES,
    LESS,
    LONGEST,
    SLOW,
    WITHIN,
    highlighted,
)

pytestmark = pytest.mark.slow_once

KINDS = sorted(set(LANGUAGES.values()))
# What makes rules of lexers try again and again.
REPEATED = ["\n", "a\n", "a ", "a.", "a?", "(", "{", "- "]


def fenced(code: str, info: str = "python") -> str:
    return f"```{info}\n{code}\n```\n"


def shown(source: str) -> str:
    """The words of rendered code."""
    return html.unescape(re.sub("<[^>]*>", "", render(source))).removesuffix("\n")


@pytest.mark.parametrize(
    ("code", "info", "wanted"),
    [
        ("if x: 1", "python", '<span class="turnlog-k">if</span> x: <span class="turnlog-m">1'),
        ("x = '<b>'", "py", "<span class=\"turnlog-s\">'&lt;b&gt;'</span>"),
        ("# no", "Python", '<span class="turnlog-c"># no'),
        ("def f(): pass", "python title=x", '<span class="turnlog-nf">f</span>'),
        ("-a\n+b", "diff", '<span class="turnlog-gd">-a</span>\n<span class="turnlog-gi">+b'),
        ("SELECT 1", "postgresql", '<span class="turnlog-k">SELECT</span>'),
        ('{"a": 1}', "json", '<span class="turnlog-k">"a"</span>'),
        ("if", "no-such-language", ">if\n</code>"),
        ("if", "", ">if\n</code>"),
    ],
)
def test_code_has_colours(code: str, info: str, wanted: str) -> None:
    assert wanted in render(fenced(code, info))


@given(st.sampled_from(KINDS), st.text(alphabet="if x=1'\"#/<>&{}()\n\\-:é한\0\ufeff", max_size=80))
def test_colours_change_no_character(language: str, code: str) -> None:
    found = highlighted(code, language)
    plain = re.sub(r"</?span[^>]*>", "", found)
    assert html.unescape(plain) == code.replace("\0", "\ufffd")
    assert set(re.findall(r'class="([^"]*)"', found)) <= CLASSES


def test_open_code_is_plain_and_closed_code_is_not() -> None:
    assert "<span" not in render("```python\nif x: 1\n")
    assert "<span" not in render("> ```python\n> if x: 1\n\nwords")
    assert "<span" in render("> ```python\n> if x: 1\n> ```\n")
    assert "<span" in render("```python\nif x: 1\n```")


def test_much_code_stays_plain() -> None:
    line = "x = 1\n"
    assert "<span" in render(fenced(line * (LONGEST // len(line))))
    assert "<span" not in render(fenced(line * (LONGEST // len(line) + 1)))
    for language in SLOW:
        assert "<span" not in render(fenced(line * (LESS // len(line) + 1), language))
    item = "1. a\n\n   ```python\n   x = 1\n   ```\n\n"
    within = render(item * (2 * WITHIN // len(line)))
    assert within.count("<span") == WITHIN // len(line)


@pytest.mark.parametrize("language", KINDS)
def test_no_text_keeps_the_thread_that_renders(language: str) -> None:
    """One thread renders for all: what a model may write must not keep it."""
    most = LESS if language in SLOW else LONGEST
    begun = time.process_time()
    for again in REPEATED:
        highlighted((again * most)[:most], language)
    assert time.process_time() - begun < 5


def test_code_keeps_its_words() -> None:
    code = "class A:\n\n    def b(self):\n        return '한국어' < 3  # &amp;"
    assert shown(fenced(code)) == code
