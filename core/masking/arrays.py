"""Arrays of NumPy in documents: base64 that anybody can read, so it is looked at."""

from __future__ import annotations

import re
import sys
from array import array
from base64 import b64decode
from collections.abc import Mapping
from math import prod
from typing import Any

_NUMBERS = {"i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f8": "d"}
"""Kinds of numbers that may be ten digits long, and how Python's arrays call them."""
_BYTES = {"u1", "i1", "S1"}
# Small numbers are no text: the codes of categories, or -1 for a missing one.
_SAYS = re.compile(rb"[\x20-\xfe]")
_PRINTED = re.compile(rb"[\x20-\x7e]{6,}+")
_PADDING = re.compile(rb"\0{4,}+")


def items_of(body: Mapping[str, Any]) -> list[Any] | None:
    """Return the texts or large numbers of an array, as they are stored; None if it has none.

    Raises ValueError if it cannot be read here, or if it is bytes, which may be anything.
    """
    dtype, data = body.get("dtype"), body.get("data")
    if not isinstance(dtype, str) or not isinstance(data, str):
        raise ValueError("no array")
    kind = dtype[1:]
    if kind in _BYTES or kind[:1] == "V":
        if _SAYS.search(b64decode(data, validate=True)):
            raise ValueError("bytes")
        return None
    if kind[:1] not in ("U", "S") and kind not in _NUMBERS:
        return None
    stored = b64decode(data, validate=True)
    found = _texts(kind, dtype[0], stored) if kind[0] in "US" else _numbers(dtype, stored)
    if prod(body.get("shape", ())) != len(found):
        raise ValueError("another shape")
    return found


def printed(body: Mapping[str, Any]) -> str:
    """Return what the bytes of an array say, whatever its kind is: anybody can print base64."""
    stored = _PADDING.sub(b"\n", b64decode(body["data"], validate=True)).replace(b"\0", b"")
    return b"\n".join(_PRINTED.findall(stored)).decode("ascii")


def _numbers(dtype: str, stored: bytes) -> list[Any]:
    numbers = array(_NUMBERS[dtype[1:]], stored)
    if (dtype[0] == ">") != (sys.byteorder == "big"):
        numbers.byteswap()
    return numbers.tolist()


def _texts(kind: str, order: str, stored: bytes) -> list[Any]:
    size = int(kind[1:]) * (4 if kind[0] == "U" else 1)
    if size == 0:
        raise ValueError("texts without a length")
    coding = "latin-1" if kind[0] == "S" else "utf-32-be" if order == ">" else "utf-32-le"
    parts = (stored[at : at + size] for at in range(0, len(stored), size))
    return [part.decode(coding, "surrogatepass").rstrip("\0") for part in parts]
