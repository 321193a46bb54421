"""Text that every database column accepts."""

from __future__ import annotations

import re

# PostgreSQL's text has no NUL, and UTF-8 no lone surrogates.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """Return the text with U+FFFD in place of each character that a database column refuses."""
    return _UNSTORABLE.sub("\ufffd", text)
