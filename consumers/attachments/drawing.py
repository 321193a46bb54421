"""A picture that somebody sends, drawn again: what a file says besides its pixels does not stay.

So no place and no camera is recorded, and no file that is a picture and something else as well.
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from PIL import Image, ImageOps

from .pictures import FORMATS
from .refusals import Refused

_PIXELS = 64_000_000
"""The most pixels of a picture that is read. Its pixels take four bytes each meanwhile."""
_LARGEST = 3_500_000
"""Bytes of a picture that is kept: the strictest provider takes 5 MB of base64."""
_LARGE_PNG = 1_000_000
"""Bytes above which an opaque picture is kept as a JPEG."""


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
    if image.width * image.height > _PIXELS:
        raise _too_many_pixels(image.width, image.height)
    # A JPEG is decoded at a part of its size, as far as no more of it is needed.
    image.draft(None, (longest_side, longest_side))
    is_sharp = image.format in ("PNG", "GIF")
    image = ImageOps.exif_transpose(_in_colour(image))
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    image = _bare(image)
    mime_type, content = _written(image, is_sharp)
    return Picture(mime_type, content, image.width, image.height)


def _in_colour(image: Any) -> Any:
    """Return an image as RGB, or RGBA if it may have something transparent."""
    clear = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = image.point(lambda value: value / 256).convert("L")
    return image.convert("RGBA" if clear else "RGB")


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


def _too_many_pixels(width: int, height: int) -> Refused:
    return Refused(
        _(
            "This picture is {width} × {height} pixels large; at most {most} million pixels can be"
            " read. Make it smaller first."
        ).format(width=width, height=height, most=_PIXELS // 1_000_000)
    )
