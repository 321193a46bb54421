"""What Markdown becomes, whole and while it is being written."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from turnlog.consumers import markdown
from turnlog.consumers.markdown import MarkdownStream, blocks, render, safety
from turnlog.consumers.markdown.raw import with_raw

pytestmark = pytest.mark.slow_once

LINES = [
    *("- a\n", "* b\n", "+ c\n", "1. x\n", "2. y\n", "1) z\n", "  - n\n", "\n", "    code\n"),
    *("text\n", "text", "```\n", "```py\n", "~~~\n", "> q\n", ">\n", "# h\n", "---\n", "===\n"),
    *("| a | b |\n", "|---|:-:|\n", "| 1 | 2 |\n", "**b**", " ", "\t", "[a]: http://x\n", "[a]"),
    *("<b>\n", "<div>\n", "\\\n", "é", "한국어 ", "\r", "\x0b", "\u2028", "`", "*", "\r\n"),
    *("\\[\n", "\\]\n", "\\] so *it* is\n", "$$\n", "$$ x_1 $$\n", "$a*b$", "$", "\\(", "\\)"),
    *("   ```\n", "``", "````\n", "``` \t\n", " x < y & z\u00a0\n", "- [ ] t\n", "![i](http://x)"),
    *("``` py\n", "if x: 1\n", "  ```py\n", '"s" # c\n', "  # c\n", "```json\n"),
    *("http://x.example/a", "\u05d0 ", "\0", "` ```\n", "```a`b\n", "[x] "),
]


def fed(text: str, cuts: list[int]) -> list[str]:
    """The text in pieces of these sizes, over and over."""
    parts, place = [], 0
    while place < len(text):
        size = cuts[len(parts) % len(cuts)]
        parts.append(text[place : place + size])
        place += size
    return parts


@settings(max_examples=500)
@example(["```\n", "text\n", " "], [1])
@given(
    st.lists(st.sampled_from(LINES), max_size=14),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_blocks_and_tail_are_the_whole(parts: list[str], cuts: list[int]) -> None:
    """However the text comes, what is given out block by block is what a full render gives."""
    text, stream, closed = "".join(parts), MarkdownStream(), []
    for part in fed(text, cuts):
        closed += stream.feed(part)
        source, html = stream.steady
        assert stream.source.startswith(source)
        assert html == render(source)
    assert "".join(block.html for block in closed) + stream.tail == render(text)
    assert "".join(block.source for block in closed) + stream.source == text.replace("\r", "")
    closed += stream.finish()
    assert "".join(block.html for block in closed) == render(text)
    assert not stream.source


@given(st.lists(st.sampled_from(LINES), max_size=14))
def test_blocks_of_a_whole_text(parts: list[str]) -> None:
    text = "".join(parts)
    assert "".join(block.html for block in blocks(text)) == render(text)


@given(st.text(st.characters(exclude_characters="`\r\n"), min_size=1).map(lambda line: line + "\n"))
def test_open_code_is_escaped_as_the_sanitiser_does(line: str) -> None:
    stream = MarkdownStream()
    assert not stream.feed("```\n" + line)
    assert stream.tail == render("```\n" + line)


def test_a_line_that_may_become_anything_is_not_shown_yet() -> None:
    """A paragraph must not be a heading while the dash of the list below it is alone."""
    for shown, undecided in [("A list:\n", "-"), ("```\ncode\n", "``"), ("Steps:\n", "1.")]:
        stream = MarkdownStream()
        stream.feed(shown + undecided)
        assert stream.steady == (shown, render(shown))


# What is shown


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;"),
        ("[x](javascript:alert(1))", '<p dir="auto">[x](javascript:alert(1))</p>'),
        ("![x](javascript:alert(1))", '<p dir="auto">![x](javascript:alert(1))</p>'),
        ("<javascript:alert(1)>", "&lt;javascript:alert(1)&gt;"),
        ("|a|\n|:-:|\n|b|", '<td class="align-center" dir="auto">b</td>'),
        ("a\n: <img src=x onerror=y>", "&lt;img"),
        ('```py" onclick="x\ny\n```', "<code>y\n</code>"),
        ("```a<b>c\ny\n```", "<code>y\n</code>"),
        ("```turnlog&quot;x\ny\n```", "<code>y\n</code>"),
        ("```py turnlog-answer\ny\n```", '<code class="language-py">y\n</code>'),
        ("- [x] <input type=text>", "&lt;input type=text&gt;"),
        ('![x" onclick="y](http://a.example/"onload=")', 'x" onclick="y'),
        ('[x](http://a.example/"onload="y)', 'href="http://a.example/%22onload=%22y"'),
        ("$<img src=x onerror=y>$", '<span class="turnlog-math">$&lt;img'),
        ("\\[\n</div><script>\n\\]", "&lt;/div&gt;&lt;script&gt;"),
    ],
)
def test_what_is_shown_is_safe(source: str, wanted: str) -> None:
    html = render(source)
    assert wanted in html
    assert_allowed(html)


def assert_allowed(html: str) -> None:
    """A parser of its own finds only what may be there."""

    class Found(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag in safety.TAGS
            for name, value in attrs:
                assert (tag, name) in ALLOWED or name == "dir", (tag, name)
                if name == "class":
                    assert re.fullmatch(CLASSES, value or ""), value
                if name == "href":
                    assert re.match(r"https?://|mailto:|(?![\w+.-]*:)", value or ""), value
            if tag == "a":
                assert ("rel", "noopener noreferrer") in attrs
                assert ("target", "_blank") in attrs
            if tag == "input":
                assert {("type", "checkbox"), ("disabled", "")} <= set(attrs)

    found = Found()
    found.feed(html)
    found.close()


CLASSES = (
    r"language-[\w+#.-]+|align-(left|center|right)|turnlog-(task|math|table|image)"
    r"|turnlog-([ksmc]|n[af]|g[di])"
)
ALLOWED = {
    *(("a", name) for name in ("href", "rel", "target", "class")),
    *(("input", name) for name in ("type", "disabled", "checked")),
    *((tag, "class") for tag in ("code", "th", "td", "li", "div", "span")),
    *(("div", "tabindex"), ("ol", "start")),
}


@settings(max_examples=400)
@given(st.text(alphabet='<>"=&[]()!`*_#|- \nax:/$\\@.0\u05d0', max_size=60))
def test_nothing_but_the_allowed_comes_through(source: str) -> None:
    assert_allowed(render(source))


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ('<input disabled type="text" name="q">', '<input disabled="" type="checkbox">'),
        ('<code class="turnlog-answer">', "<code></code>"),
        ('<code class="language-a b">', "<code></code>"),
        ('<div class="turnlog-dock" tabindex="5" id="turnlog">', "<div></div>"),
        ('<li class="turnlog-turn" hx-get="/">', "<li></li>"),
        ('<p dir="x" onclick="y">', "<p></p>"),
    ],
)
def test_the_sanitiser_does_not_rely_on_the_parser(html: str, left: str) -> None:
    assert safety.safe(html) == left


def test_a_block_that_grows_without_end_is_not_rendered_again_and_again() -> None:
    stream = MarkdownStream()
    stream.feed("*" * (markdown.TAIL_LIMIT + 1))
    assert stream.tail == f"<pre>{'*' * (markdown.TAIL_LIMIT + 1)}</pre>"
    stream = MarkdownStream()
    stream.feed("*a* and\n")
    begun = stream.tail
    for _ in range(2):
        stream.feed("*b*\n" * markdown.TAIL_LIMIT)
        rest = stream.source.removeprefix("*a* and\n")
        assert stream.tail == with_raw(begun, rest)
        assert stream.tail == with_raw(with_raw(begun, rest[:9]), rest[9:])


@pytest.mark.parametrize(
    ("html", "longer"),
    [
        ("<p>a</p>", "<p>a{}</p>"),
        ("<p>a <em>b</em></p>", "<p>a <em>b</em>{}</p>"),
        ("<pre><code>a</code></pre>", "<pre><code>a{}</code></pre>"),
        ("<ul><li>a<ul><li>b</li></ul></li></ul>", "<ul><li>a<ul><li>b{}</li></ul></li></ul>"),
        ("<p>a</p><hr>", "<p>a</p><hr>{}"),
        ("", "{}"),
    ],
)
def test_where_plain_text_goes_on(html: str, longer: str) -> None:
    assert with_raw(html, "<x>") == longer.format('<span class="turnlog-raw">&lt;x&gt;</span>')


# Direction


def tight(source: str) -> str:
    """The HTML without the line breaks behind closing tags."""
    return re.sub(r"(</\w+>)\n", r"\1", render(source))


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("안녕", '<p dir="auto">안녕</p>'),
        ("# שלום", '<h1 dir="auto">שלום</h1>'),
        ("- a\n- b", '<ul dir="auto"><li dir="auto">a</li><li dir="auto">b</li></ul>'),
        ("- مرحبا\n- b", '<ul dir="rtl"><li dir="rtl">مرحبا</li><li dir="auto">b</li></ul>'),
        ("1. 12 שלום", '<ol dir="rtl"><li dir="rtl">12 שלום</li></ol>'),
        ("> مرحبا", '<blockquote dir="rtl"><p dir="auto">مرحبا</p></blockquote>'),
        (
            "> 1\n>\n> a",
            '<blockquote dir="auto"><p>1</p><p dir="auto">a</p></blockquote>',
        ),
        ("|م|\n|-|", '<div class="turnlog-table" tabindex="0" dir="rtl"><table dir="rtl">'),
        ("`a`", '<code dir="ltr">a</code>'),
        ("    a", '<pre dir="ltr"><code>a\n</code></pre>'),
        # Code does not decide, nor does one item decide for the next.
        ("- `x` שלום", '<ul dir="rtl"><li dir="rtl">'),
        ("- - 1\n- שלום", '<ul dir="rtl"><li><ul><li>1</li></ul></li><li dir="rtl">'),
        # Numbers run as what is around them does: a browser's "auto" would turn them round.
        ("|م|\n|-|\n|5|", "<td>5</td>"),
        ("5", "<p>5</p>"),
        ("![שלום](http://x.example)", '<p dir="auto">'),
    ],
)
def test_direction_follows_the_words(source: str, wanted: str) -> None:
    assert wanted in tight(source)


# Formulas


@pytest.mark.parametrize(
    "formula",
    [
        *(r"\( x = \frac{-b}{2a}\,c \)", r"\[ \begin{pmatrix} 1 \\ 2 \end{pmatrix} \]"),
        *("$a_1 * b_2 * c$", r"$\$5 + x$", "$x$", "$$ a_i < b_i $$", r"\(a \\\)", "\\( a\n*b* \\)"),
    ],
)
def test_a_formula_in_a_line_keeps_its_characters(formula: str) -> None:
    shown = formula.replace("<", "&lt;")
    expected = f'<p dir="auto">So <span class="turnlog-math">{shown}</span>, then.</p>'
    assert tight(f"So {formula}, then.") == expected


@pytest.mark.parametrize(
    "text",
    ["$5 and $10", "It costs $ 5 or 5 $.", "US$5, A$6", "`$a` and `b$`", "$$$", "$x", "a \\$b$"],
)
def test_money_is_no_formula(text: str) -> None:
    assert "turnlog-math" not in tight(text)


@pytest.mark.parametrize(
    "formula",
    [
        "\\[\nx_1 * y_2\n- b\n# c\n1. d \\\\\n\\]",
        "$$\na_1 = b_1 \\\\\n> c\n$$",
        "\\[ x\n= y \\]",
        "$$ E = mc^2 $$",
        "\\[ x \\]",
    ],
)
def test_a_formula_of_its_own_lines_is_no_markdown(formula: str) -> None:
    shown = formula.replace("<", "&lt;").replace(">", "&gt;")
    block = f'<div class="turnlog-math">{shown}</div>'
    assert tight(formula) == block
    assert (
        tight(f"Before\n{formula}\nAfter")
        == f'<p dir="auto">Before</p>{block}<p dir="auto">After</p>'
    )
    assert tight(f"- a\n\n  {formula.replace(chr(10), chr(10) + '  ')}").count(block) == 1


def test_a_formula_that_never_ends_ends_at_a_blank_line() -> None:
    assert (
        tight("\\[\na_1\n\n*b*")
        == '<div class="turnlog-math">\\[\na_1</div><p dir="auto"><em>b</em></p>'
    )


def test_words_after_a_formula_are_words() -> None:
    assert tight("\\[\nx\n\\], *so*") == '<div class="turnlog-math">\\[\nx\n\\], <em>so</em></div>'
    assert tight("$$x$$ is *it*").startswith(
        '<p dir="auto"><span class="turnlog-math">$$x$$</span> is <em>'
    )


def test_many_openers_take_no_quadratic_time() -> None:
    for opener in ("$1", "\\(", "\\[", "$$a", "\\[\n", "$$\n", "\\(a\\)"):
        begun = time.process_time()
        tight(opener * 10_000)
        assert time.process_time() - begun < 3, opener


def test_a_table_has_no_more_cells_than_were_written_and_some() -> None:
    """A short row is filled up, so rows of one character may make a page of millions of cells."""
    wide, short = "|a" * 1_000 + "|\n" + "|-" * 1_000 + "|\n", "|\n" * 10_000
    assert tight(wide + short).count("<td") <= 2 * 1_000 + 1_000
    # Rows that leave out a few cells are the table's.
    assert tight("|a|b|\n|-|-|\n" + "|1|\n" * 500).count("<td") == 2 * 500


# Code, links, tasks, images, tables


@pytest.mark.parametrize(
    ("info", "name"),
    [("python", "python"), ("c++", "c++"), ("C# x=1", "C#"), ("objective-c", "objective-c")],
)
def test_code_names_its_language(info: str, name: str) -> None:
    expected = f'<pre dir="ltr"><code class="language-{name}">x\n</code></pre>'
    assert tight(f"```{info}\nx\n```") == expected


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("See https://example.com/a_b_c.", "https://example.com/a_b_c", None),
        ("https://example.com/a입니다.", "https://example.com/a", None),
        ("주소는https://example.com/a?b=1&c=2에서", "https://example.com/a?b=1&amp;c=2", None),
        ("**http://example.com/x**", "http://example.com/x", None),
        ("(https://example.com/a_(b))", "https://example.com/a_(b)", None),
        ("<https://example.com>", "https://example.com", None),
        ("to ada@example.com에게", "mailto:ada@example.com", "ada@example.com"),
        ("“https://example.com/”", "https://example.com/", None),
    ],
)
def test_a_bare_address_is_a_link(text: str, address: str, shown: str | None) -> None:
    rel = 'target="_blank" rel="noopener noreferrer"'
    link = f'<a href="{address}" {rel}>{shown or address}</a>'
    html = tight(text)
    assert link in html
    assert html.count("<a ") == 1


@pytest.mark.parametrize(
    "text",
    [
        "main.py and e.g. this",
        "example.com",
        "ftp://example.com",
        "//example.com",
        "`https://example.com`",
        "$https://example.com$",
        "https://한국.kr",
        "a@b",
        "1.2.3.4",
    ],
)
def test_what_is_no_address_is_no_link(text: str) -> None:
    assert "<a " not in tight(text)


def test_a_task_has_a_box_that_cannot_be_ticked() -> None:
    html = tight("- [ ] a\n- [x] **b**\n- [y] c\n- [x](http://d.example)")
    item = '<li class="turnlog-task" dir="auto"><input type="checkbox" disabled=""'
    assert f'{item}> a</li>{item} checked=""> <strong>b</strong></li>' in html
    assert html.count("<input") == 2
    assert "<input" not in tight("[x] a")
    assert "<input" not in tight("-\n\n[x] a")
    assert tight("- a\n\n  [x] b").count("<input") == 0


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("![a *cat*](http://x.example/c.png)", "🖼 a cat"),
        ("![](http://x.example/c.png)", "🖼 http://x.example/c.png"),
        ("![ ](http://x.example/c.png)", "🖼 http://x.example/c.png"),
    ],
)
def test_an_image_is_told_and_never_loaded(source: str, shown: str) -> None:
    assert tight(source).replace(' dir="auto"', "") == (
        '<p><a class="turnlog-image" href="http://x.example/c.png" target="_blank"'
        f' rel="noopener noreferrer">{shown}</a></p>'
    )


def test_an_image_within_a_link_leads_where_the_link_does() -> None:
    html = tight("[![cat](http://x.example/c.png)](http://y.example)")
    assert html.count("<a ") == 1
    assert 'href="http://y.example"' in html
    assert '<span class="turnlog-image">🖼 cat</span>' in html


def test_a_table_has_a_box_to_scroll_in() -> None:
    html = tight("|a|\n|-|\n|b|")
    assert html.startswith('<div class="turnlog-table" tabindex="0"><table dir="auto"><thead>')
    assert html.endswith("</tbody></table></div>")
