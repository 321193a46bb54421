"""A document that is JSON text already."""

from __future__ import annotations

from typing import NamedTuple


class Encoded(NamedTuple):
    """The JSON text of a document, which stands where the document could.

    `to_json` writes the text as it is. So a large value is encoded once, whatever records it, and
    shown without being read.
    """

    text: str
