"""An answer that grows: what is sent of it, and that the page then has all of it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.consumers.test_bytes import running_turn
from tests.consumers.test_markdown import LINES, fed
from turnlog.consumers.answering.steps import TextDelta, ToolFinished, ToolStarted
from turnlog.consumers.markdown import MarkdownStream, render
from turnlog.consumers.page import progress
from turnlog.consumers.page.growth import Growth, growth
from turnlog.consumers.page.progress import Progress, changes
from turnlog.consumers.page.turn_view import merged

pytestmark = pytest.mark.slow_once

VOID = {"br", "hr", "input"}


class Page(HTMLParser):
    """What a browser has: a tree of lists [opening tag, child, ...]."""

    def __init__(self, html: str = "") -> None:
        super().__init__(convert_charrefs=False)
        self.root: list = [""]
        self._open = [self.root]
        self.feed(html)
        self.close()
        assert self._open == [self.root]

    def handle_starttag(self, tag: str, attrs: object) -> None:
        element = [self.get_starttag_text()]
        self._open[-1].append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0].startswith(f"<{tag}")

    def handle_data(self, data: str) -> None:
        self._open[-1].append(data)

    def handle_entityref(self, name: str) -> None:
        self._open[-1].append(f"&{name};")

    def apply(self, change: Growth) -> None:
        element = self.root
        for _ in range(change.depth):
            element = elements(element)[-1]
        for _ in range(change.drop):
            last = max(i for i, child in enumerate(element) if isinstance(child, list))
            del element[last : last + 1 + (element[last + 1 : last + 2] == ["\n"])]
        element.extend(Page(change.html).root[1:])

    def html(self, element: list | None = None) -> str:
        opening, *children = element or self.root
        inside = "".join(c if isinstance(c, str) else self.html(c) for c in children)
        name = opening.strip("<>").split(" ")[0]
        return opening + inside + (f"</{name}>" if name and name not in VOID else "")


def elements(element: list) -> list[list]:
    return [child for child in element[1:] if isinstance(child, list)]


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(LINES), max_size=14),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_what_is_sent_makes_the_page_what_a_reload_shows(parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    page, stream, tail = Page(), MarkdownStream(), ""
    for part in [*fed(text, cuts), ""]:
        closed = stream.feed(part) if part else stream.finish()
        new = "".join(block.html for block in closed) + stream.steady[1]
        for step in growth(tail, new):
            page.apply(step)
        tail = stream.steady[1]
    assert page.html() == render(text)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from([*LINES, "", ""]), st.booleans()), max_size=20),
    st.sampled_from([0, 30, 1_000]),
)
def test_a_page_that_looks_now_and_then_ends_with_all_of_it(
    steps: list[tuple[str, bool]], again: int
) -> None:
    """Also with tools, which are the empty texts here, and with plain text in between."""
    turn, sent, page = running_turn(), Progress(), Page()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "_AGAIN", again)
        sent.note(turn.view())
        for number, (text, looks) in enumerate([*steps, ("end", False)]):
            turn.hear(TextDelta(text))
            if text:
                turn.flush()
            else:
                turn.follow(ToolStarted(number, "clock", {}))
                turn.follow(ToolFinished(number, {"status": "ok"}, "12"))
            if looks:
                show(page, changes(turn.view(), sent))
        turn.finish_text()
        show(page, changes(turn.view(), sent))
        assert not changes(turn.view(), sent)
    whole = [p.get("html", f"<details>{p.get('id')}</details>") for p in merged(turn.pieces)]
    assert page.html() == "".join(whole)


def show(page: Page, parts: list[dict]) -> None:
    for part in parts:
        if part["kind"] == "growth":
            depth = part["into"].count(">:last-child")
            assert all(place == part["into"] + ">:last-child" for place in part["drop"])
            page.apply(Growth(depth, len(part["drop"]), part["html"]))
        elif part["kind"] == "tool":
            page.apply(Growth(0, 0, f"<details>{part['id']}</details>"))


@given(*[st.lists(st.sampled_from(LINES), max_size=8)] * 2)
def test_any_html_can_become_any_other(old: list[str], new: list[str]) -> None:
    before, after = render("".join(old)), render("".join(new))
    page = Page(before)
    steps = growth(before, after)
    for step in steps:
        page.apply(step)
    assert page.html() == after
    assert bool(steps) == (before != after)


def test_only_words_at_the_end_are_sent() -> None:
    assert growth("<p>a <em>b</em></p>", "<p>a <em>b</em> c</p>") == (Growth(1, 0, " c"),)
    code = "<pre><code>{}</code></pre>"
    assert growth(code.format("a\n"), code.format("a\nb")) == (Growth(2, 0, "b"),)
    assert growth(code.format("a"), code.format("a\n") + "<p>b</p><p>c</p>") == (
        Growth(2, 0, "\n"),
        Growth(0, 0, "<p>b</p><p>c</p>"),
    )
    items = "<ul><li>a</li>{}</ul>"
    assert growth(items.format(""), items.format("<li>b</li>")) == (Growth(1, 0, "<li>b</li>"),)
    bold = "<li><strong>b</strong></li>"
    assert growth(items.format("<li>**b</li>"), items.format(bold)) == (Growth(1, 1, bold),)
    assert growth("<p>a</p>", "<p>a</p><p>b</p>") == (Growth(0, 0, "<p>b</p>"),)
    assert growth("<p>a</p>\n<p>b</p>\n", "<p>a</p>\n") == (Growth(0, 1, ""),)


def test_whole_rows_can_be_added() -> None:
    table = '<div class="turnlog-table"><table><tbody><tr><td>a</td></tr>{}</tbody></table></div>'
    row = "<tr><td>b</td></tr>"
    assert growth(table.format(""), table.format(row)) == (Growth(3, 0, row),)
    # Nothing else of a table: a browser drops it if it is not within one.
    [step] = growth(table.format(row), table.format("<tr><td>c</td></tr>"))
    assert step.html.startswith("<table>")
