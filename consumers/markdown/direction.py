"""The direction of each block: that of its first letter, whatever the page's language is."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

_WITH_WORDS = {"paragraph_open", "heading_open", "th_open", "td_open"}
_WITH_BLOCKS = {
    *("bullet_list_open", "ordered_list_open", "list_item_open", "blockquote_open", "table_open"),
}


def directions(state: StateCore) -> None:
    """A core rule: give each block with letters its direction; one without has that around it.

    A browser's "auto" does not look into children that have a direction of their own. So for a
    list, a quotation and a table, it is decided here if they are written from right to left.
    """
    undecided: list[Token] = []
    for before, token in pairwise(state.tokens):
        if before.type in _WITH_BLOCKS:
            undecided.append(before)
        if token.type == "inline" and (found := _direction(token)):
            if before.type in _WITH_WORDS:
                before.attrSet("dir", "auto")
            for block in undecided:
                block.attrSet("dir", found)
            undecided.clear()
        elif undecided and token.nesting < 0 and undecided[-1].level == token.level:
            undecided.pop()


def _direction(inline: Token) -> str:
    """Return "rtl" or "auto" if the words decide it, "" if there is no letter."""
    for child in inline.children or ():
        if child.type == "image" and (found := _direction(child)):
            return found
        for character in child.content if child.type == "text" else "":
            kind = unicodedata.bidirectional(character)
            if kind == "L":
                return "auto"
            if kind in ("R", "AL"):
                return "rtl"
    return ""
