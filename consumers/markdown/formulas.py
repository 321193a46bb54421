r"""Formulas keep all their characters, delimiters too: KaTeX or MathJax can typeset them.

Within a line `\( \)`, `\[ \]`, `$ $` and `$$ $$`; over several lines what begins with a line `\[`
or `$$`. Such a block ends with its closing delimiter or at a blank line, so that what has come so
far decides where it ends.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

# The length is limited: without a limit, many openers and no closer would take quadratic time.
# A single dollar is pandoc's rule, so that "$5 and $10" stays money.
_INLINE = {
    "\\(": re.compile(r"\\\((?:[^\\]|\\[^)]){1,2000}?\\\)", re.DOTALL),
    "\\[": re.compile(r"\\\[(?:[^\\]|\\[^\]]){1,2000}?\\\]", re.DOTALL),
    "$$": re.compile(r"\$\$(?:[^$\\`]|\\.){1,1000}?\$\$(?!\$)", re.DOTALL),
    "$": re.compile(r"\$(?![\s$])(?:[^$\\`]|\\.){1,400}?(?<!\s)\$(?![\d$])", re.DOTALL),
}
_CLOSING = {"\\(": "\\)", "\\[": "\\]"}
_LONGEST = 4_010  # 2,000 characters may be written as twice as many.
# Lines of a formula that look like its last one and are not.
_TRIES = 20
_DISPLAY = {
    "\\[": ("\\]", re.compile(r"\\\[(?:[^\\]|\\[^\]])*?\\\]", re.DOTALL)),
    "$$": ("$$", re.compile(r"\$\$(?!\$)(?:[^$\\]|\\.|\$(?!\$))*?\$\$", re.DOTALL)),
}


def formulas(parser: MarkdownIt) -> None:
    """Add the rules to a parser."""
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("table", "display", _display, {"alt": interrupts})
    parser.inline.ruler.before("escape", "formula", _formula)


def _formula(state: StateInline, silent: bool) -> bool:
    found = _inline(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("formula", "", 0).content = found.group()
    state.pos = found.end()
    return True


def _inline(source: str, begin: int, end: int) -> re.Match[str] | None:
    opening = source[begin : begin + 2]
    if opening.startswith("$"):
        return _INLINE["$$" if opening == "$$" else "$"].match(source, begin, end)
    closing = _CLOSING.get(opening)
    if closing is None or source.find(closing, begin, min(end, begin + _LONGEST)) < 0:
        return None
    return _INLINE[opening].match(source, begin, end)


def _display(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if state.is_code_block(start):
        return False
    begin, line_end = state.bMarks[start] + state.tShift[start], state.eMarks[start]
    closing, pattern = _DISPLAY.get(state.src[begin : begin + 2], ("", None))
    if pattern is None or state.src.startswith("$$$", begin):
        return False
    on_one_line = pattern.match(state.src, begin, line_end)
    if on_one_line and state.src[on_one_line.end() : line_end].strip():
        return False  # A line of text that begins with a formula.
    if silent:
        return True
    closed, stop, tries = None, start, 0
    while not closed and stop < end and (stop == start or _goes_on(state, stop)):
        line = state.src[state.bMarks[stop] : state.eMarks[stop]]
        stop += 1
        if closing in line and tries < _TRIES:
            tries += 1
            closed = pattern.match(_lines(state, start, stop))
    text = _lines(state, start, stop)
    formula = closed.group() if closed else text.rstrip()
    state.line = stop
    token = state.push("display_open", "div", 1)
    token.attrs, token.map = {"class": "turnlog-math"}, [start, stop]
    state.push("display", "", 0).content = formula
    if closed and (rest := text[closed.end() :].partition("\n")[0].rstrip()):
        token = state.push("inline", "", 0)
        token.content, token.map, token.children = rest, [stop - 1, stop], []
    state.push("display_close", "div", -1)
    return True


def _goes_on(state: StateBlock, line: int) -> bool:
    return not state.isEmpty(line) and state.sCount[line] >= state.blkIndent


def _lines(state: StateBlock, start: int, stop: int) -> str:
    return state.getLines(start, stop, state.blkIndent, False).lstrip()
