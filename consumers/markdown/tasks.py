"""Task lists: an item that begins with `[ ]` or `[x]` has a checkbox."""

from __future__ import annotations

import re

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

_BOX = re.compile(r"\[([ xX])\](?=\s)")


def tasks(state: StateCore) -> None:
    """A core rule: put the checkboxes in."""
    tokens = state.tokens
    for item, paragraph, words in zip(tokens, tokens[1:], tokens[2:], strict=False):
        begins = item.type == "list_item_open" and paragraph.type == "paragraph_open"
        first = words.children[0] if begins and words.children else None
        if first is not None and first.type == "text" and (box := _BOX.match(first.content)):
            item.attrSet("class", "turnlog-task")
            first.content = first.content[box.end() :]
            done = box[1] != " "
            words.children = [Token("task", "", 0, meta={"done": done}), *(words.children or ())]
