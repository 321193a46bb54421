"""Images whose pixels take many times the memory of their PNG.

A PNG of 300 KB may hold 9,000 x 9,000 pixels of one colour, which take 324 MB. So reading such an
image keeps the PNG, and its pixels are read when something first uses them.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image

from ..errors import CodecError
from .fault import Fault

_MOST = 64
"""Times the memory of its PNG that an image may take at once."""

_BYTES_PER_PIXEL = 4
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


class PackedImage(Image.Image):
    """An Image that reads its pixels when they are first used. From then on it is a plain Image."""

    @staticmethod
    def suits(opened: Any, png: bytes) -> bool:
        """Whether an opened PNG takes so much memory that it should stay packed."""
        width, height = opened.size
        return bool(width * height * _BYTES_PER_PIXEL > _MOST * len(png))

    def __init__(self, opened: Any, png: bytes, info: dict[Any, Any]) -> None:
        super().__init__()
        self._mode, self._size = opened.mode, opened.size
        self.palette = self._palette = opened.palette
        self.info = info
        self.png = png

    @property
    def im(self) -> Any:
        self._unpack()
        return self.im

    @im.setter
    def im(self, core: Any) -> None:
        """Older versions of Pillow set None here when an object is made."""

    def load(self) -> Any:
        self._unpack()
        return self.load()

    def __eq__(self, other: object) -> bool:
        self._unpack()
        return bool(self == other)

    __hash__ = None  # type: ignore[assignment]  # As Pillow's own images.

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._unpack()
        return self.__reduce_ex__(protocol)

    def _unpack(self) -> None:
        """Become a plain Image. Raises CodecError if the PNG cannot be read."""
        try:
            with Image.open(BytesIO(self.png), formats=["PNG"]) as opened:
                image = opened.copy()
        except Exception as exc:
            raise CodecError(f"the pixels of a stored image cannot be read: {exc}") from exc
        if self.palette is self._palette:  # Not one that was set meanwhile.
            self.palette = image.palette
        self.__class__ = Image.Image  # type: ignore[assignment]  # It has the same attributes.
        self.im = image.im
        for name in ("png", "_palette"):
            self.__dict__.pop(name, None)


def require_plain(png: bytes) -> None:
    """Raise Fault unless these are whole chunks of a PNG, and only such as hold pixels.

    Other chunks may hold compressed text, which Pillow unpacks when it opens a file.
    """
    place, chunk, whole = len(_SIGNATURE), b"", memoryview(png)
    if not png.startswith(_SIGNATURE):
        raise Fault("png must be a PNG")
    while place < len(png):
        if place + 12 > len(png):
            raise Fault("the PNG is cut short")
        length, chunk = struct.unpack_from(">I4s", png, place)
        end = place + 12 + length
        if chunk not in _CHUNKS:
            raise Fault(f"the PNG holds a chunk {chunk!r}, which turnlog does not write")
        if end > len(png) or zlib.crc32(whole[place + 4 : end - 4]) != int.from_bytes(
            whole[end - 4 : end]
        ):
            raise Fault("the PNG is cut short or damaged")
        place = end
    if chunk != b"IEND":
        raise Fault("the PNG is cut short")
