"""The parser: CommonMark with tables, strikethrough, formulas, task lists and bare addresses."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from .bounded import bounded
from .code import highlighting
from .direction import directions
from .formulas import formulas
from .html import Html
from .links import Addresses, outgoing
from .tasks import tasks


@functools.cache
def parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "linkify": True}, renderer_cls=Html)
    made.linkify = Addresses()
    made.enable(["table", "strikethrough", "linkify"])
    # References may be defined anywhere in a text, so a block could change after it was given out.
    made.disable("reference")
    made.use(bounded).use(formulas).use(highlighting)
    for rule in (outgoing, tasks, _align_by_class, directions):
        made.core.ruler.push(rule.__name__, rule)
    return made


def top_level(source: str) -> list[Token]:
    """Return the tokens that begin the top-level blocks; what is within a line is not parsed."""
    tokens: list[Token] = []
    parser().block.parse(source, parser(), {}, tokens)
    return [token for token in tokens if token.level == 0 and token.map and token.nesting >= 0]


def _align_by_class(state: StateCore) -> None:
    # A style attribute would break a strict Content-Security-Policy.
    for token in _cells(state.tokens):
        if style := token.attrs.pop("style", ""):
            token.attrSet("class", f"align-{str(style).removeprefix('text-align:')}")


def _cells(tokens: Sequence[Token]) -> list[Token]:
    return [token for token in tokens if token.type in ("th_open", "td_open")]
