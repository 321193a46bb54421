"""A page of Markdown as a reader sees it: rendered to HTML, and from there its words and code.

CommonMark is what code hosting sites and PyPI agree on; Sphinx's additions are not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from markdown_it import MarkdownIt

_TEXTS = ("p", "li", "h1", "h2", "h3", "h4", "th", "td")


@dataclass(frozen=True)
class Text:
    """A paragraph, an item, a heading or a cell: code in backticks, links by their address."""

    words: str

    @property
    def codes(self) -> list[str]:
        return re.findall(r"`([^`]+)`", self.words)


@dataclass(frozen=True)
class Code:
    """A block of code, and the text right above it."""

    language: str
    code: str
    above: Text

    @property
    def file(self) -> str | None:
        """The file that the text above names last, by which a reader knows what it is."""
        files = [code for code in self.above.codes if re.fullmatch(r"[\w./-]+\.[a-z]+", code)]
        return files[-1] if files else None


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Text | Code] = []
        self._words = ""
        self._language: str | None = None
        self._in_block = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "pre":
            self._end_text()
            self._in_block, self._language = True, ""
        elif tag == "code" and self._in_block:
            self._language = (given.get("class") or "").removeprefix("language-")
        elif tag == "code":
            self._words += "`"
        elif tag == "a":
            self._words += f"<{given.get('href')}> "
        elif tag in _TEXTS:
            self._end_text()

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            above = next((part for part in self.parts[::-1] if isinstance(part, Text)), Text(""))
            self.parts.append(Code(self._language or "", self._words, above))
            self._words, self._in_block = "", False
        elif tag == "code" and not self._in_block:
            self._words += "`"
        elif tag in _TEXTS:
            self._end_text()

    def handle_data(self, data: str) -> None:
        self._words += data

    def _end_text(self) -> None:
        words = re.sub(r"\s+", " ", self._words).strip()
        if words:
            self.parts.append(Text(words))
        self._words = ""


def parts(text: str) -> list[Text | Code]:
    """A page's texts and blocks of code, in order."""
    reader = _Reader()
    reader.feed(MarkdownIt("commonmark").enable("table").render(text))
    return reader.parts


def blocks(page: Path, language: str | None = None) -> Iterator[Code]:
    """A page's blocks of code, in order; those of one language, if it is given."""
    for part in parts(page.read_text(encoding="utf-8")):
        if isinstance(part, Code) and language in (None, part.language):
            yield part
