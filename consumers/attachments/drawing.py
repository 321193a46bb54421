"""A picture that somebody sends, drawn again: what a file says besides its pixels does not stay.

So no place and no camera is recorded, and no file that is a picture and something else as well.
"""

from __future__ import annotations

import io
import threading
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from PIL import Image, ImageOps

from .pictures import FORMATS
from .refusals import Refused

_PIXELS = 25_000_000
"""The most pixels that are decoded. They take up to 16 bytes each meanwhile: a WebP's do."""
_PIXELS_OF_JPEG = 64_000_000
"""The most pixels of a JPEG that is decoded at a part of its size."""
_SCALED = ("L", "LA", "RGB", "RGBA", "CMYK")
"""Modes in which a picture is made smaller as it is. Others become one of these first."""
_LARGEST = 3_500_000
"""Bytes of a picture that is kept: the strictest provider takes 5 MB of base64."""
_LARGE_PNG = 1_000_000
"""Bytes above which an opaque picture is kept as a JPEG."""

_one_at_a_time = threading.Lock()
"""A file of some kilobytes may have as many pixels as may be: not those of two at once."""


class Picture(NamedTuple):
    """A picture that was drawn again."""

    mime_type: str
    content: bytes
    width: int
    height: int


def redrawn(data: bytes, longest_side: int) -> Picture:
    """Return a picture's first frame, upright, at most so many pixels wide and high.

    Raises Refused. Takes long: call it in a slow thread.
    """
    try:
        with _one_at_a_time:
            return _redrawn(data, longest_side)
    except Refused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused(_("This picture has too many pixels: make it smaller first.")) from error
    except Exception as error:
        sentence = _("This is not a picture that can be read: it is damaged or cut off.")
        raise Refused(sentence) from error


def _redrawn(data: bytes, longest_side: int) -> Picture:
    image: Any = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
    _shrink_while_decoded(image, longest_side)
    is_sharp = image.format in ("PNG", "GIF")
    if image.mode in _SCALED and "transparency" not in image.info:
        image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    image = _in_colour(image)
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    ImageOps.exif_transpose(image, in_place=True)
    image = _bare(image)
    mime_type, content = _written(image, is_sharp)
    return Picture(mime_type, content, image.width, image.height)


def _shrink_while_decoded(image: Any, longest_side: int) -> None:
    """Have a JPEG decoded at a part of its size, as far as no more of it is needed.

    Raises Refused for a picture with too many pixels, before it is decoded.
    """
    width, height = image.size
    # Of a progressive one, everything is held until its last byte.
    in_parts = image.format == "JPEG" and "progressive" not in image.info
    most = _PIXELS_OF_JPEG if in_parts else _PIXELS
    if width * height <= most:
        share = longest_side / max(width, height, longest_side)
        image.draft(None, (int(width * share) or 1, int(height * share) or 1))
        most = _PIXELS
    if image.width * image.height > most:
        raise _too_many_pixels(width, height, most)


def _in_colour(image: Any) -> Any:
    """Return an image as RGB, or RGBA if it may have something transparent."""
    clear = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = image.point(lambda value: value / 256).convert("L")
    mode = "RGBA" if clear else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _bare(image: Any) -> Any:
    """Return the pixels alone, opaque if they are."""
    if image.mode == "RGBA" and image.getextrema()[3][0] == 255:
        image = image.convert("RGB")
    bare = Image.new(image.mode, image.size)
    bare.paste(image)
    return bare


def _written(image: Any, sharp: bool) -> tuple[str, bytes]:
    """Return an image as a PNG if it has sharp edges or is transparent, as far as that is small."""
    if sharp or image.mode == "RGBA":
        png = _saved(image, "PNG", optimize=False)
        if len(png) <= (_LARGEST if image.mode == "RGBA" else _LARGE_PNG):
            return "image/png", png
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    for quality in (88, 75, 50):
        jpeg = _saved(image, "JPEG", quality=quality)
        if len(jpeg) <= _LARGEST:
            return "image/jpeg", jpeg
    raise Refused(_("This picture is too large even when it is made smaller."))


def _saved(image: Any, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def _too_many_pixels(width: int, height: int, most: int) -> Refused:
    return Refused(
        _(
            "This picture is {width} × {height} pixels large; at most {most} million pixels can be"
            " read. Make it smaller first."
        ).format(width=width, height=height, most=most // 1_000_000)
    )
