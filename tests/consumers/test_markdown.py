from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnlog.consumers.page import markdown
from turnlog.consumers.page.markdown import MarkdownStream, blocks, render

LINES = [
    *("- a\n", "* b\n", "+ c\n", "1. x\n", "2. y\n", "1) z\n", "  - n\n", "\n", "    code\n"),
    *("text\n", "text", "```\n", "```py\n", "~~~\n", "> q\n", ">\n", "# h\n", "---\n", "===\n"),
    *("| a | b |\n", "|---|:-:|\n", "| 1 | 2 |\n", "**b**", " ", "\t", "[a]: http://x\n", "[a]"),
    *("<b>\n", "<div>\n", "\\\n", "é", "한국어 ", "\r", "\x0b", "\u2028", "`", "*", "\r\n"),
]


@settings(max_examples=400)
@given(
    st.lists(st.sampled_from(LINES), max_size=14),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_blocks_and_tail_are_the_whole(parts: list[str], cuts: list[int]) -> None:
    """However the text comes, what is given out block by block is what a full render gives."""
    text, stream, closed, place, turn = "".join(parts), MarkdownStream(), [], 0, 0
    while place < len(text):
        size = cuts[turn % len(cuts)]
        closed += stream.feed(text[place : place + size])
        place, turn = place + size, turn + 1
    assert "".join(block.html for block in closed) + stream.tail == render(text)
    assert "".join(block.source for block in closed) + stream.source == text.replace("\r", "")
    closed += stream.finish()
    assert "".join(block.html for block in closed) == render(text)


@given(st.lists(st.sampled_from(LINES), max_size=14))
def test_blocks_of_a_whole_text(parts: list[str]) -> None:
    text = "".join(parts)
    assert "".join(block.html for block in blocks(text)) == render(text)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("[x](http://a.example)", 'href="http://a.example" rel="noopener noreferrer"'),
        ("|a|\n|:-:|\n|b|", '<td class="align-center">b</td>'),
        ("![x](http://a.example/x.png)", "!<a"),
        ("a\n: <img src=x onerror=y>", "&lt;img"),
    ],
)
def test_what_is_shown_is_safe(source: str, wanted: str) -> None:
    html = render(source)
    assert wanted in html
    assert "<img" not in html
    assert "style=" not in html


@given(st.text(alphabet='<>"=&[]()!`*_#|- \nax:/', max_size=60))
def test_nothing_but_the_allowed_comes_through(source: str) -> None:
    import re

    for name, attributes in re.findall(r"<(\w+)([^>]*)>", render(source)):
        assert name in markdown._TAGS
        assert set(re.findall(r"(\w[\w-]*)=", re.sub(r'"[^"]*"', '""', attributes))) <= {
            *("href", "rel", "class", "start")
        }


def test_a_block_that_grows_without_end_is_shown_as_it_is() -> None:
    stream = MarkdownStream()
    stream.feed("*" * (markdown.TAIL_LIMIT + 1))
    assert stream.tail == f"<pre>{'*' * (markdown.TAIL_LIMIT + 1)}</pre>"
