"""Text that every database column takes."""

from __future__ import annotations

import re

# PostgreSQL's text has no NUL, and UTF-8 no lone surrogates.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD in place of each character that no database column takes."""
    return _UNSTORABLE.sub("\ufffd", text)
