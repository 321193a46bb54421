"""Pillow's images: `{"_type": "PIL.Image", "_value": {"mode": ..., "png": ..., "info": ...}}`.

`png` is the base64 of a PNG (ISO/IEC 15948) with the pixels and the palette, and without any other
chunk. `info` is the image's dict of that name. The encoder reads each PNG back. If the result is
not the same bit by bit, it refuses the image: CMYK, F and HSV modes, and animations.

An image that was opened from a file (PngImageFile, ...) comes back as a plain Image with the same
pixels and info, because the file is not part of its value.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image, ImageFile

from .dispatch import DECODERS, ENCODERS, dec, enc
from .fault import Fault, expect, expect_keys, type_name
from .libraries import Encoder
from .packed_images import PackedImage, require_plain
from .scalars import from_base64, to_base64

_STRIP = 1_000_000
"""Pixels that are compared at once: no other thread of the process runs meanwhile."""


def encoder_for(cls: type) -> Encoder | None:
    """The encoder for Pillow's images; None for any other class."""
    return _encode if cls is Image.Image or issubclass(cls, ImageFile.ImageFile) else None


def _encode(value: Any, depth: int) -> Any:
    try:
        if getattr(value, "n_frames", 1) != 1:
            raise _refusal(value, "it has several frames", "give the copy() of each frame")
        image = value.copy()  # a plain Image, and the caller's file stays as it is
        # Pillow would write it into the PNG, but the document holds it separately.
        info, image.info = image.info, {}
        file = BytesIO()
        image.save(file, "PNG")
        png = file.getvalue()
        with Image.open(BytesIO(png), formats=["PNG"]) as back:
            back.load()
            same = _same(image, back)
    except Fault:
        raise
    except Exception as exc:
        # Pillow reads the file only now, and it may be cut short. Or PNG lacks the mode.
        raise _refusal(value, str(exc)) from exc
    if not same:
        raise _refusal(value, f"its mode {image.mode} does not survive PNG")
    return _document(image.mode, png, info, depth)


def _encode_packed(value: Any, depth: int) -> Any:
    return _document(value.mode, value.png, value.info, depth)


def _document(mode: str, png: bytes, info: Any, depth: int) -> Any:
    try:
        info = enc(info, depth + 1)
    except Fault as fault:
        fault.at_key("info")
        raise
    body = {"mode": mode, "png": to_base64(png), "info": info}
    return {"_type": "PIL.Image", "_value": body}


def _same(image: Any, back: Any) -> bool:
    if (back.mode, back.size) != (image.mode, image.size):
        return False
    # getpalette() compares palettes as RGB, and therefore ignores their transparency.
    if _palette(back) != _palette(image) or back.getpalette() != image.getpalette():
        return False
    width, height = image.size
    rows = max(_STRIP // max(width, 1), 1)
    return all(
        back.crop(strip).tobytes() == image.crop(strip).tobytes()
        for strip in ((0, y, width, min(y + rows, height)) for y in range(0, height, rows))
    )


def _palette(image: Any) -> Any:
    return image.palette and (image.palette.mode, bytes(image.palette.palette))


def _decode(body: Any, depth: int) -> Any:
    expect_keys(body, ("mode", "png", "info"))
    info = expect(dec(body["info"], depth + 1), dict, "info")
    data = from_base64(body["png"])
    require_plain(data)
    # Pillow's limit (Image.MAX_IMAGE_PIXELS) refuses a small file that claims to be a huge image.
    with Image.open(BytesIO(data), formats=["PNG"]) as opened:
        if opened.mode != body["mode"]:
            raise Fault(f"the PNG holds mode {opened.mode}, not {body['mode']!r:.40}")
        if PackedImage.suits(opened, data):
            return PackedImage(opened, data, info)
        image = opened.copy()
    image.info = info
    return image


def _refusal(value: Any, why: str, remedy: str = "convert it to RGBA first") -> Fault:
    name = type_name(type(value))
    return Fault(f"cannot store a {name} exactly: {why}; {remedy}", name)


ENCODERS[PackedImage] = _encode_packed
DECODERS["PIL.Image"] = _decode
