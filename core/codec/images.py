"""Pillow's images: `{"_type": "PIL.Image", "_value": {"mode": ..., "png": ..., "info": ...}}`.

`png` is the base64 of a PNG (ISO/IEC 15948) with the pixels and the palette. `info` is the image's
dict of that name. The encoder reads each PNG back. If the result is not the same bit by bit, it
refuses the image: CMYK, F and HSV modes, and animations.

An image that was opened from a file (PngImageFile, ...) comes back as a plain Image with the same
pixels and info, because the file is not part of its value.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image, ImageFile

from .dispatch import DECODERS, dec, enc
from .fault import Fault, expect, expect_keys, type_name
from .libraries import Encoder
from .scalars import from_base64, to_base64


def encoder_for(cls: type) -> Encoder | None:
    """The encoder for Pillow's images; None for any other class."""
    return _encode if cls is Image.Image or issubclass(cls, ImageFile.ImageFile) else None


def _encode(value: Any, depth: int) -> Any:
    try:
        if getattr(value, "n_frames", 1) != 1:
            raise _refusal(value, "it has several frames", "give the copy() of each frame")
        image = value.copy()  # a plain Image, and the caller's file stays as it is
        png, back = _through_png(image)
    except Fault:
        raise
    except Exception as exc:
        # Pillow reads the file only now, and it may be cut short. Or PNG lacks the mode.
        raise _refusal(value, str(exc)) from exc
    if back != image or _palette(back) != _palette(image):
        raise _refusal(value, f"its mode {image.mode} does not survive PNG")
    try:
        info = enc(image.info, depth + 1)
    except Fault as fault:
        fault.at_key("info")
        raise
    body = {"mode": image.mode, "png": to_base64(png), "info": info}
    return {"_type": "PIL.Image", "_value": body}


def _through_png(image: Any) -> tuple[bytes, Any]:
    """The PNG of an image, and the image that Pillow reads from that PNG."""
    bare = image.copy()
    bare.info = {}  # Pillow would write it into the PNG, but the document holds it separately
    file = BytesIO()
    bare.save(file, "PNG")
    return file.getvalue(), _open(file.getvalue(), image.mode, image.info)


def _decode(body: Any, depth: int) -> Any:
    expect_keys(body, ("mode", "png", "info"))
    info = expect(dec(body["info"], depth + 1), dict, "info")
    return _open(from_base64(body["png"]), body["mode"], info)


def _open(data: bytes, mode: str, info: dict[Any, Any]) -> Any:
    # Pillow's limit (Image.MAX_IMAGE_PIXELS) refuses a small file that claims to be a huge image.
    with Image.open(BytesIO(data), formats=["PNG"]) as opened:
        image = opened.copy()
    if image.mode != mode:
        raise Fault(f"the PNG holds mode {image.mode}, not {mode!r:.40}")
    image.info = info
    return image


def _palette(image: Any) -> Any:
    # Image's == compares palettes as RGB, and therefore ignores their transparency.
    return image.palette and (image.palette.mode, bytes(image.palette.palette))


def _refusal(value: Any, why: str, remedy: str = "convert it to RGBA first") -> Fault:
    name = type_name(type(value))
    return Fault(f"cannot store a {name} exactly: {why}; {remedy}", name)


DECODERS["PIL.Image"] = _decode
