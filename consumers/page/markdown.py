"""Markdown to HTML that is safe to show, whole or block by block while it is being written."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

# A growing block is rendered again and again; beyond this many characters, it is plain text.
TAIL_LIMIT = 20_000

_SURROGATE = re.compile("[\ud800-\udfff]")
_TAGS = {
    *("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("table", "thead", "tbody", "tr", "th", "td", "hr", "br", "strong", "em", "s", "a"),
}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "th": {"class"}, "td": {"class"}}


@dataclass(frozen=True, slots=True)
class Block:
    """A closed top-level block: its Markdown source, and the HTML that it is rendered to."""

    source: str
    html: SafeString


def render(source: str) -> SafeString:
    """Return safe HTML for a Markdown text. Raw HTML in the text is shown as text."""
    parser = _parser()
    environment: dict[str, object] = {}
    tokens = parser.parse(_readable(source), environment)
    _align_by_class(tokens)
    rendered = parser.renderer.render(tokens, parser.options, environment)
    return _safe(rendered)


def blocks(source: str) -> list[Block]:
    """Return the blocks of a whole text."""
    stream = MarkdownStream()
    return stream.feed(source) + stream.finish()


class MarkdownStream:
    """A growing text: each block is given out once, when it is closed; the rest is the tail.

    Law: the HTML of all blocks and the tail together equals the HTML of the whole text.
    """

    def __init__(self) -> None:
        self._open = ""

    def feed(self, text: str) -> list[Block]:
        """Append text; return the blocks that it closed."""
        self._open += _readable(text)
        if "\n" not in text:
            return []
        # Only complete lines count: half a line can still become anything.
        starts = _block_starts(self._open[: self._open.rfind("\n") + 1])
        if len(starts) < 2:
            return []
        starts[0] = 0
        closed = [self._open[a:b] for a, b in pairwise(starts)]
        self._open = self._open[starts[-1] :]
        return [Block(source, render(source)) for source in closed]

    def finish(self) -> list[Block]:
        """Close the open block and return it, if there is one."""
        source, self._open = self._open, ""
        html = render(source)
        return [Block(source, html)] if html else []

    @property
    def source(self) -> str:
        """The tail's Markdown."""
        return self._open

    @property
    def tail(self) -> SafeString:
        """The HTML of the open block so far."""
        if len(self._open) > TAIL_LIMIT:
            return mark_safe(f"<pre>{escape(self._open)}</pre>")
        return render(self._open) if self._open else SafeString()


@functools.cache
def _parser() -> MarkdownIt:
    # References may be defined anywhere in a text, so a block could change after it was given out.
    # Images would load from any site.
    return (
        MarkdownIt("commonmark", {"html": False})
        .enable(["table", "strikethrough"])
        .disable(["reference", "image"])
    )


def displayable(text: str) -> str:
    """Return text that can be sent: half a character (a lone surrogate) becomes U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def _readable(text: str) -> str:
    # A carriage return may come in another chunk than its line feed.
    return displayable(text.replace("\r", ""))


def _block_starts(source: str) -> list[int]:
    """Return the offsets at which the top-level blocks of complete lines begin."""
    offsets = [0]
    for line in source.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    return [
        offsets[token.map[0]]
        for token in _parser().parse(source)
        if token.level == 0 and token.map and token.nesting >= 0
    ]


def _align_by_class(tokens: Sequence[Token]) -> None:
    # A style attribute would break a strict Content-Security-Policy.
    for token in tokens:
        style = token.attrGet("style") if token.type in ("th_open", "td_open") else None
        if style:
            token.attrs = {"class": f"align-{str(style).removeprefix('text-align:')}"}


def _safe(rendered: str) -> SafeString:
    return mark_safe(
        nh3.clean(
            rendered,
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer",
        )
    )
