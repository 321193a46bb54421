"""Pictures from a worker, checked: a PNG of a bounded size, and nothing but its pixels."""

from __future__ import annotations

import io

from .pipe import Broken

MOST_PIXELS = 16_000_000


def checked(content: bytes) -> bytes:
    """Return a PNG written again from its pixels: without comments, and without what else may be
    in a file that begins as a PNG does. Raises Broken."""
    from PIL import Image  # lazy: optional

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            # Not what the first header says: Pillow goes by the last one.
            if not 0 < picture.width * picture.height <= MOST_PIXELS:
                raise Broken(f"a picture of {picture.width} x {picture.height} pixels")
            pixels = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except Broken:
        raise
    except Exception as error:
        # Pillow raises whatever a crafted chunk leads its parsers to.
        raise Broken(f"a picture that is none: {type(error).__name__}") from error
    pixels.info.clear()
    written = io.BytesIO()
    pixels.save(written, format="PNG", compress_level=6)
    return written.getvalue()
