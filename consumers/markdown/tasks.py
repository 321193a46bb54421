"""Task lists: an item that begins with `[ ]` or `[x]` has a checkbox."""

from __future__ import annotations

import re
from itertools import pairwise

from markdown_it.rules_core import StateCore
from markdown_it.token import Token

_BOX = re.compile(r"\[([ xX])\](?=\s)")


def tasks(state: StateCore) -> None:
    """A core rule: put the checkboxes in."""
    item: Token | None = None
    for before, token in pairwise(state.tokens):
        if before.type == "list_item_open":
            item = before
        if token.type != "inline" or item is None or before.type != "paragraph_open":
            continue
        first = token.children[0] if token.children else None
        if first is not None and first.type == "text" and (box := _BOX.match(first.content)):
            item.attrSet("class", "turnlog-task")
            first.content = first.content[box.end() :]
            done = box[1] != " "
            token.children = [Token("task", "", 0, meta={"done": done}), *(token.children or ())]
        item = None  # Only an item's first words can begin with a box.
