"""Puts blobs in their places for a page: texts, and of a tool's only what a page shows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..core import codec
from ..core.codec.blobs import beginnings, blobs_in, read, readable, whole
from ..core.codec.encoded import Encoded
from ..core.codec.json_text import to_json
from ..core.errors import CodecError

logger = logging.getLogger("turnlog")

SHOWN = 20_001
"""Characters of a tool's text that a page shows at most, and one more: it says that it is cut."""

_DOCUMENTS = ("input", "output", "text")
_LARGEST = 1_000_000


class Room:
    """How much of messages' large texts is put in place for a page."""

    def __init__(self, most: int = 10_000_000) -> None:
        self._left = most

    def has(self, size: int) -> bool:
        """Return whether there is room for a text of so many bytes; it is taken."""
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits


def message(document: Any, room: Room, longest: int | None = SHOWN) -> Any:
    """Return a message's document with its texts, or up to `longest` characters of each that there
    is no room for; with None, nothing of these. Pictures and files in its blocks are left out."""
    try:
        document = codec.read(document.text) if type(document) is Encoded else document
        return readable(document, room.has, longest or 0)
    except CodecError as error:
        # The rest of the conversation is still shown, and a sentence in this one's place.
        logger.warning("a stored message cannot be read: %s", error)
        return document


def tool(output: Mapping[str, Any], longest: int | None = SHOWN) -> dict[str, Any]:
    """Return a tool's payload with its documents as `document` returns them."""
    return {
        name: document(value, longest) if name in _DOCUMENTS else value
        for name, value in output.items()
    }


def document(value: Any, longest: int | None = SHOWN) -> Any:
    """Return what a tool got or gave as a page shows it: whole, if its blobs have at most a million
    bytes. Of larger ones, up to `longest` characters of the texts; with None, nothing.
    """
    if type(value) is not Encoded:
        return value
    size = sum(blob.size for blob in blobs_in(value.text))
    try:
        if size <= _LARGEST:
            return Encoded(whole(value.text))
        return value if longest is None else Encoded(beginnings(value.text, longest))
    except CodecError as error:
        logger.warning("what a tool got or gave cannot be read: %s", error)
        return str(error)


def arguments(value: Any) -> Any:
    """Return what a call that waits would be made with: whole, if its blobs have at most a million
    bytes and can be read. Otherwise as it is stored, so that nobody takes a part for the whole."""
    # What is large within it may be text: an outline goes as deep as tools' outputs are.
    stored = value if type(value) is Encoded else Encoded(to_json(value))
    blobs = blobs_in(stored.text)
    if not blobs:
        return value
    if sum(blob.size for blob in blobs) > _LARGEST:
        return stored
    try:
        return read(stored.text)
    except CodecError as error:
        logger.warning("what a call would be made with cannot be read: %s", error)
        return stored
