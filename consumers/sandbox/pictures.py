"""Pictures from a worker, checked: a PNG of a bounded size, and nothing but its pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from .inside.figures import pixels_of
from .limits import LARGEST_CHART, MOST_PIXELS
from .pipe import Broken

LARGEST = 16_000_000
"""Pixels of one picture."""


def all_checked(contents: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return an answer's pictures, each as `checked` does. Raises Broken."""
    found, left = [], MOST_PIXELS
    for content in contents:
        found.append(checked(content, min(left, LARGEST)))
        left -= pixels_of(found[-1])
    return tuple(found)


def checked(content: bytes, most: int = LARGEST) -> bytes:
    """Return a PNG written again from its pixels, at most so many: without comments, and without
    what else may be in a file that begins as a PNG does. Raises Broken."""
    from PIL import Image  # lazy: optional

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            # Not what the first header says: Pillow goes by the last one.
            if not 0 < picture.width * picture.height <= most:
                size = f"{picture.width} x {picture.height} pixels"
                raise Broken(f"a picture of {size}, where {most:,} are the most")
            pixels = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except Broken:
        raise
    except Exception as error:
        # Pillow raises whatever a crafted chunk leads its parsers to.
        raise Broken(f"a picture that is none: {type(error).__name__}") from error
    pixels.info.clear()
    written = _Written()
    pixels.save(written, format="PNG", compress_level=6)
    return written.getvalue()


class _Written(io.BytesIO):
    """A file that ends the writing of a picture once it is too large to be kept."""

    def write(self, piece: Any) -> int:
        if self.tell() + len(piece) > LARGEST_CHART:
            raise Broken(f"a picture of more than {LARGEST_CHART:,} bytes")
        return super().write(piece)
