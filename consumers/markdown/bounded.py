"""The parser's rules whose work or output would grow faster than the text, with a bound."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import table
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.linkify import linkify

# Cells that a table may leave out of its rows. A browser is sent each of them.
_MISSING_CELLS = 1_000
# The longest scheme of an address is shorter than this.
_SCHEME = 64


def bounded(parser: MarkdownIt) -> None:
    """Replace the rules of a parser."""
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.at("linkify", _linkify)


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A table ends before too many cells are missing: "|a|a|…" over many lines of "|"."""
    found = table(state, start, end, True)
    if silent or not found:
        return found
    return table(state, start, _last_line(state, start, end), False)


def _last_line(state: StateBlock, start: int, end: int) -> int:
    columns, missing = _pipes(state, start), 0
    for line in range(start + 2, end):
        if state.isEmpty(line):
            break
        missing += max(0, columns - _pipes(state, line))
        if missing > _MISSING_CELLS:
            return line
    return end


def _pipes(state: StateBlock, line: int) -> int:
    return state.src.count("|", state.bMarks[line], state.eMarks[line])


def _linkify(state: StateInline, silent: bool) -> bool:
    """The rule looks for a scheme in all text since the last token: let that be little."""
    if state.src.startswith("://", state.pos) and len(state.pending) > 4 * _SCHEME:
        scheme = state.pending[-_SCHEME:]
        state.pending = state.pending[:-_SCHEME]
        state.pushPending()
        state.pending = scheme
    return linkify(state, silent)
