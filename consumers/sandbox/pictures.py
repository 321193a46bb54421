"""Pictures from a worker, checked: a PNG of a bounded size, and nothing but its pixels."""

from __future__ import annotations

import io
import struct
import zlib

from .pipe import Broken

MOST_PIXELS = 16_000_000
_BEGINNING = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
"""The signature, and the header that comes first (PNG specification, 5.2 and 11.2.2)."""


def checked(content: bytes) -> bytes:
    """Return a PNG written again from its pixels: without comments, and without what else may be
    in a file that begins as a PNG does. Raises Broken."""
    from PIL import Image  # lazy: optional

    if not content.startswith(_BEGINNING) or len(content) < 24:
        raise Broken("a picture that is none")
    width, height = struct.unpack(">II", content[16:24])
    if not 0 < width * height <= MOST_PIXELS:
        raise Broken(f"a picture of {width} x {height} pixels")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            pixels = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error):
        raise Broken("a picture that is none") from None
    pixels.info.clear()
    written = io.BytesIO()
    pixels.save(written, format="PNG", compress_level=6)
    return written.getvalue()
