"""Text that can be sent, and text as HTML."""

from __future__ import annotations

from ...core.wellformed import wellformed

# As nh3 writes them, so that what is added to a page equals what a reload would show.
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\u00a0": "&nbsp;", "\0": "\ufffd"}
)


def readable(text: str) -> str:
    """Return Markdown as it is read here."""
    # A carriage return may come in another chunk than its line feed.
    return wellformed(text.replace("\r", ""))


def escaped(text: str) -> str:
    """Return HTML for text between tags. It is not safe within an attribute."""
    return text.translate(_ESCAPES)
