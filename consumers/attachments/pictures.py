"""Which pictures are read, told by how a file begins; Pillow, which reads them, is optional."""

from __future__ import annotations

from importlib.util import find_spec

from ...core.media_types import media_type_of

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
"""The formats that are read, by Pillow's names; what is kept is a JPEG or a PNG."""


def is_available() -> bool:
    """Return whether Pillow is installed."""
    return find_spec("PIL") is not None


def is_picture(data: bytes) -> bool:
    """Return whether a file begins as one of the formats does."""
    return media_type_of(data) in FORMATS.values()
