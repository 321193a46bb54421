"""Pictures and files as people have them, good and bad."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

from langchain_core.messages import HumanMessage
from PIL import Image

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def picture(kind: str = "JPEG", size: tuple[int, int] = (8, 6), **options: Any) -> bytes:
    """A small picture, its left half red and its right half blue."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    return saved(image, kind, **options)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_location() -> bytes:
    """A JPEG that says where it was taken, lies on its side, and has a comment."""
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn it by 90 degrees.
    exif[0x010F] = "SECRET-CAMERA"
    exif.get_ifd(0x8825)[1] = "N"  # GPSLatitudeRef
    exif.get_ifd(0x8825)[2] = (37.0, 33.0, 59.0)
    return picture(exif=exif, comment=b"SECRET-COMMENT")


def bomb(side: int = 60_000) -> bytes:
    """A PNG of some hundred bytes that claims to be `side` pixels wide and high."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 10_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def with_picture(text: str, name: str = "cup.png") -> HumanMessage:
    """What somebody says with a picture, as it is recorded."""
    data = base64.b64encode(picture("PNG")).decode()
    return HumanMessage(
        content=[
            {"type": "text", "text": text},
            {"type": "image", "base64": data, "mime_type": "image/png"},
        ],
        additional_kwargs={"attachments": [{"block": 1, "name": name, "mime_type": "image/png"}]},
    )
