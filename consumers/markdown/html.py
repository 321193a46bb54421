"""How each kind of token is written.

What holds words is followed by a line break, so that the words of two blocks are not one word to a
program that reads the page's text. Other white space would only be bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from markdown_it.common.utils import escapeHtml, unescapeAll
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from .code import highlighted
from .text import escaped

_WITH_WORDS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "li", "th", "td", "div"}
LANGUAGE = re.compile(r"[\w+#.-]+")


def code_opening(info: str) -> str:
    """Return the tags that open a block of code; `info` is what its first line says of it."""
    words = unescapeAll(info).split()
    if words and LANGUAGE.fullmatch(words[0]):
        return f'<pre dir="ltr"><code class="language-{words[0]}">'
    return '<pre dir="ltr"><code>'


CODE_CLOSING = "</code></pre>"


class Html(RendererHTML):
    """A method here writes the tokens of its name."""

    def renderToken(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        if token.hidden:
            return ""
        if token.nesting < 0:
            return f"</{token.tag}>" + "\n" * (token.tag in _WITH_WORDS)
        # Such as a list within an item: the words before it have no tags of their own.
        after_words = token.block and idx > 0 and tokens[idx - 1].hidden
        return "\n" * after_words + f"<{token.tag}{self.renderAttrs(token)}>"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        language = token.meta.get("language")
        code = highlighted(token.content, language) if language else escaped(token.content)
        return code_opening(token.info) + code + CODE_CLOSING

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return code_opening("") + escaped(tokens[idx].content) + CODE_CLOSING

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<code dir="ltr">{escaped(tokens[idx].content)}</code>'

    def hardbreak(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "<br>"

    def formula(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<span class="turnlog-math">{escaped(tokens[idx].content)}</span>'

    def display(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return escaped(tokens[idx].content)

    def task(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        checked = " checked" if tokens[idx].meta["done"] else ""
        return f'<input type="checkbox" disabled{checked}>'

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        # Where a wide table scrolls to depends on the direction of the box around it.
        direction = ' dir="rtl"' if tokens[idx].attrGet("dir") == "rtl" else ""
        table = self.renderToken(tokens, idx, options, env)
        return f'<div class="turnlog-table" tabindex="0"{direction}>{table}'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div>"

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """An image would load from any site: a link tells of it."""
        token = tokens[idx]
        address = str(token.attrGet("src") or "")
        text = "🖼 " + escaped(plain(token.children or ()).strip() or address)
        if token.meta.get("linked"):
            return f'<span class="turnlog-image">{text}</span>'
        href = escapeHtml(address)
        return f'<a class="turnlog-image" href="{href}" target="_blank">{text}</a>'


def plain(tokens: Sequence[Token]) -> str:
    """Return the words of inline tokens."""
    return "".join(
        plain(token.children) if token.children else token.content or " " * (token.tag == "br")
        for token in tokens
    )
