"""Which blocks of code are highlighted, and as what: by Pygments, and no more than is bounded.

Only code whose closing line is there: what is still being written stays plain, so that it only
grows. Within a list or a quotation, code is rendered again each time that the list grows: so less
of it is highlighted there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.fence import fence
from markdown_it.rules_core import StateCore
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token

from .text import escaped

LONGEST = 8_000
"""Characters of one block that are highlighted at most."""
WITHIN = 2_000
"""Characters of code that are highlighted at most within one list or quotation."""

LESS = 3_000
"""The same, in a language of `SLOW`."""

# Pygments knows hundreds of languages, and some of its rules take quadratic time or more. These are
# the ones that take little for any text; tests/consumers/test_code.py measures them.
_NAMES = {
    "bash": "bash sh shell zsh",
    "c": "c h",
    "console": "console shell-session",
    "cpp": "cpp c++ hpp",
    "css": "css",
    "diff": "diff patch udiff",
    "docker": "docker dockerfile",
    "go": "go golang",
    "html": "html",
    "ini": "ini cfg",
    "java": "java",
    "javascript": "javascript js mjs",
    "json": "json jsonc",
    "kotlin": "kotlin kt",
    "lua": "lua",
    "make": "make makefile",
    "php": "php",
    "pycon": "pycon",
    "python": "python py python3",
    "r": "r",
    "ruby": "ruby rb",
    "rust": "rust rs",
    "scala": "scala",
    "sql": "sql postgresql postgres mysql sqlite",
    "swift": "swift",
    "toml": "toml",
    "typescript": "typescript ts",
    "xml": "xml svg",
    "yaml": "yaml yml",
}
LANGUAGES = {name: language for language, names in _NAMES.items() for name in names.split()}

SLOW = frozenset({"c", "cpp", "java", "make", "typescript"})

# Pygments' kinds of tokens, the first that fits, and their short names in its stylesheets.
_KINDS = (
    (Token.Comment.Preproc, "k"),
    (Token.Comment, "c"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Literal.Number, "m"),
    (Token.Literal, "s"),
    (Token.Name.Attribute, "na"),
    (Token.Name.Builtin, "nf"),
    (Token.Name.Class, "nf"),
    (Token.Name.Decorator, "nf"),
    (Token.Name.Function, "nf"),
    (Token.Name.Tag, "k"),
    (Token.Generic.Deleted, "gd"),
    (Token.Generic.Inserted, "gi"),
    (Token.Generic.Prompt, "c"),
    (Token.Generic.Output, "c"),
)
CLASSES = frozenset(f"turnlog-{name}" for _, name in _KINDS)


def highlighting(parser: MarkdownIt) -> None:
    """Add the rules to a parser: a fence's `meta["language"]` says that it is highlighted."""
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.at("fence", _fence, {"alt": interrupts})
    parser.core.ruler.push("highlighted", _highlighted)


def highlighted(code: str, language: str) -> str:
    """Return HTML for a text in one of `LANGUAGES`: `<span class="turnlog-k">` and so on."""
    tokens = [
        (_kind(kind), text) for _, kind, text in _lexer(language).get_tokens_unprocessed(code)
    ]
    if "".join(text for _, text in tokens) != code:
        return escaped(code)  # A lexer that drops or changes something.
    return "".join(_spans(tokens))


def _spans(tokens: list[tuple[str, str]]) -> Iterator[str]:
    for name, group in groupby(tokens, lambda token: token[0]):
        text = escaped("".join(text for _, text in group))
        yield f'<span class="turnlog-{name}">{text}</span>' if name and text.strip() else text


@functools.cache
def _kind(kind: Any) -> str:
    return next((name for one, name in _KINDS if kind in one), "")


def _lexer(language: str) -> Lexer:
    # A lexer may keep its state in itself: so each text has its own.
    return get_lexer_by_name(language)


def _fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    found = fence(state, start, end, silent)
    if found and not silent:
        token = state.tokens[-1]
        lines = state.getLines(start + 1, state.line, state.sCount[start], True)
        token.meta["closed"] = lines != token.content  # It ends with a line that is not code.
    return found


def _highlighted(state: StateCore) -> None:
    room = 0
    for token in state.tokens:
        if token.level == 0:
            room = LONGEST if token.type == "fence" else WITHIN
        if token.type != "fence" or not token.meta["closed"]:
            continue
        name = token.info.split()[0].lower() if token.info.split() else ""
        language = LANGUAGES.get(name)
        most = min(room, LESS) if language in SLOW else room
        if language and len(token.content) <= most:
            room -= len(token.content)
            token.meta["language"] = language
