"""Which addresses in a text become links, and where links lead.

An address has a scheme, or is a mail address: `main.py` and `e.g.` are none. It ends before the
first character that is not ASCII: in Korean, a particle follows an address without a space.
"""

from __future__ import annotations

import re
from typing import Any

from linkify_it import LinkifyIt  # type: ignore[import-untyped]  # It has no types.
from markdown_it.rules_core import StateCore

_ASCII = re.compile(r"[\x00-\x7f]+")
# An address of so many characters is text.
_LONGEST = 4_000


class Addresses(LinkifyIt):  # type: ignore[misc]  # For the same reason.
    """Finds the addresses in a text."""

    def __init__(self) -> None:
        super().__init__(options={"fuzzy_link": False, "fuzzy_ip": False, "fuzzy_email": True})
        self.add("ftp:", None).add("//", None)

    def test(self, text: str) -> bool:
        return any(super(Addresses, self).test(run) for run in _ASCII.findall(text))

    def match(self, text: str) -> list[Any] | None:
        found = []
        for run in _ASCII.finditer(text):
            for link in super().match(run.group()) or ():
                link.index += run.start()
                link.last_index += run.start()
                found.append(link)
        return found or None

    def match_at_start(self, text: str) -> Any:
        # Asked at each "://", with all the text behind it.
        run = _ASCII.match(text, 0, _LONGEST)
        return super().match_at_start(run.group()) if run and run.end() < _LONGEST else None


def outgoing(state: StateCore) -> None:
    """A core rule: links open elsewhere; within a link, an image is only told of."""
    for token in state.tokens:
        depth = 0
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("target", "_blank")
            elif child.type == "image":
                child.meta["linked"] = depth > 0
            depth += child.nesting if child.tag == "a" else 0
