"""Markdown that is still being written: its blocks one by one, and the open one so far."""

from __future__ import annotations

import re
from itertools import pairwise

from django.utils.safestring import SafeString, mark_safe

from .html import CODE_CLOSING, code_opening
from .parsing import top_level
from .raw import with_raw
from .rendering import Block, render
from .text import escaped, readable

# A growing block is rendered again and again; what comes after this many characters is shown as
# plain text until the block is closed.
TAIL_LIMIT = 20_000

_FENCE = re.compile(r"(?:[ \t]*\n)*(`{3,}|~{3,})([^\n]*)\n")
# A line that is nothing but marks and digits so far may still become anything. A table's row is
# shown when it is whole.
_UNDECIDED = re.compile(r"[-=+*_#>`~|:$\\\[\]().\d \t]*\Z|[ \t>]*\|")


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
        self._code: _OpenCode | None = None
        self._rendered = (0, SafeString())

    def feed(self, text: str) -> list[Block]:
        """Append text; return the blocks that it closed."""
        self._open += readable(text)
        if "\n" not in text or (self._code and not self._code.is_closed(self._open)):
            return []
        # Only complete lines count: half a line can still become anything.
        end = self._open.rfind("\n") + 1
        sources, last = _split(self._open[:end])
        self._code = _OpenCode.found(sources[-1]) if last == "fence" else None
        if last != "fence" or self._code or not _FENCE.match(sources[-1]):
            sources.pop()  # It may go on; code with its closing line cannot.
        if sources:
            self._open = self._open[sum(map(len, sources)) :]
            self._rendered = (0, SafeString())
        return [Block(source, render(source)) for source in sources]

    def finish(self) -> list[Block]:
        """Close the open block and return it, if there is one."""
        sources, _ = _split(self._open)
        self._open = ""
        self._code, self._rendered = None, (0, SafeString())
        given = [Block(source, render(source)) for source in sources]
        return [block for block in given if block.html]

    @property
    def source(self) -> str:
        """The tail's Markdown."""
        return self._open

    @property
    def tail(self) -> SafeString:
        """The HTML of the open block so far."""
        if self._code:
            return self._code.html(self._open)
        return self._html_of(self._open)

    @property
    def steady(self) -> tuple[str, SafeString]:
        """The tail's Markdown and HTML without a last line that may still become anything.

        For whoever shows a tail again and again: a line of dashes under a paragraph would make it
        a heading for a moment, and the first half of a code's closing line would be code.
        """
        line = self._open.rfind("\n") + 1
        if self._code:
            undecided = self._code.may_close(self._open[line:])
            source = self._open[:line] if undecided else self._open
            return source, self._code.html(source)
        source = self._open[:line] if _UNDECIDED.match(self._open, line) else self._open
        return source, self._html_of(source)

    def _html_of(self, source: str) -> SafeString:
        if len(source) <= TAIL_LIMIT:
            self._rendered = (len(source), render(source) if source else SafeString())
            return self._rendered[1]
        length, html = self._rendered
        if not html:
            return mark_safe(f"<pre>{escaped(source)}</pre>")
        return with_raw(html, source[length:])


class _OpenCode:
    """A block of code whose end has not come: its text needs no parser, only the closing line."""

    def __init__(self, fence: re.Match[str]) -> None:
        mark, info = fence[1], fence[2]
        self._opening = code_opening(info.strip())
        self._begin = self._scanned = fence.end()
        self._may_close = re.compile(rf" {{0,3}}{mark[0]}*[ \t]*")
        self._closing = re.compile(rf"^ {{0,3}}{mark}{mark[0]}*[ \t]*$", re.MULTILINE)

    @classmethod
    def found(cls, source: str) -> _OpenCode | None:
        """Return the open code that a source consists of; None if the fence is indented."""
        fence = _FENCE.match(source)
        if fence is None:
            return None
        code = cls(fence)
        return None if code.is_closed(source) else code

    def is_closed(self, source: str) -> bool:
        """Return whether the closing line is there, complete; the source has grown since."""
        end = source.rfind("\n") + 1
        closed = self._closing.search(source, self._scanned, max(end - 1, self._scanned))
        self._scanned = max(end, self._scanned)
        return closed is not None

    def may_close(self, line: str) -> bool:
        """Return whether half a line may become the closing line."""
        return self._may_close.fullmatch(line) is not None

    def html(self, source: str) -> SafeString:
        line = source.rfind("\n") + 1
        # For the parser, a last line of spaces does not belong to the code.
        if self._closing.fullmatch(source, line):
            return render(source)  # It is closed, and highlighted, without a last line break too.
        if not source[line:].strip(" \t"):
            source = source[:line]
        return mark_safe(self._opening + escaped(source[self._begin :]) + CODE_CLOSING)


def _split(source: str) -> tuple[list[str], str]:
    """Return the sources of a text's top-level blocks, and the kind of the last one."""
    offsets = [0]
    for line in source.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    tokens = top_level(source)
    starts = [offsets[token.map[0]] for token in tokens[1:] if token.map]
    kind = tokens[-1].type if tokens else ""
    return [source[a:b] for a, b in pairwise([0, *starts, len(source)])], kind
