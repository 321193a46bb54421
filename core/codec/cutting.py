"""Cuts large strings out of a document, and makes blobs of them; see `blobs.py`."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from ..errors import CodecError
from .blobs import BEFORE, MARK, Blob
from .fault import Fault
from .json_text import to_json
from .scalars import from_base64
from .scanning import long_strings

_BASE64 = re.compile(r"[A-Za-z0-9+/]{64}")
_PIECE = 100_000
_ESCAPED = re.compile(r"(?:[^\\]{1,100}|\\u[0-9a-fA-F]{4}|\\[^u]){1,1000}+")


class Cut(NamedTuple):
    """A JSON text with nodes for its large strings, and the blobs, by their digests."""

    text: str
    blobs: dict[str, bytes]


def cut(text: str, longest: int) -> Cut:
    """Return a JSON text in which no string is longer than `longest` characters, except keys.

    What is no JSON is returned as it is.
    """
    parts: list[str] = []
    blobs: dict[str, bytes] = {}
    done = 0
    if len(text) > longest:
        try:
            for start, end in long_strings(text, longest):
                blob, data = _blob_of(text[start + 1 : end - 1])
                blobs[blob.sha256] = data
                parts += [text[done:start], blob.node]
                done = end
        except (CodecError, ValueError):
            return Cut(text, {})
    return Cut("".join([*parts, text[done:]]) if parts else text, blobs)


def cut_document(document: Any, longest: int) -> Cut:
    """Return the same of a document. Raises CodecError if it has a node of its own making: what
    stands for a blob must be one."""
    large: dict[str, bytes] = {}
    nodes: list[str] = []

    def aside(text: str) -> str:
        if len(text) <= longest:
            return to_json(text)
        blob, data = _blob_of_text(text)
        large[blob.sha256] = data
        nodes.append(blob.node)
        return blob.node

    text = to_json(document, aside)
    if MARK in text and text.count(MARK) > len(nodes):
        raise CodecError(
            f"expected no object that begins with {MARK!r}, which stands for a stored blob, found"
            " one; give its value another key"
        )
    rest = cut(text, longest)
    return Cut(rest.text, {**large, **rest.blobs})


def _blob_of(literal: str) -> tuple[Blob, bytes]:
    """The blob of a string, and its bytes. `literal` is the string's JSON text without quotes."""
    return _binary(literal) or _text(b"".join(_utf8_of(literal)))


def _blob_of_text(text: str) -> tuple[Blob, bytes]:
    """The blob of a string of more than a million characters, and its bytes."""
    return _binary(text) or _text(b"".join(_utf8_of_slices(text)))


def _text(data: bytes) -> tuple[Blob, bytes]:
    return Blob(sha256(data).hexdigest(), len(data)), data


def _binary(text: str) -> tuple[Blob, bytes] | None:
    found = BEFORE.match(text)
    before = found[0] if found else ""
    data = _of_base64(text[len(before) :])
    return None if data is None else (Blob(sha256(data).hexdigest(), len(data), before), data)


def _of_base64(text: str) -> bytes | None:
    """The bytes of canonical base64; None for any other text: it would not come back the same."""
    if len(text) % 4 or not (text.isascii() and _BASE64.match(text)):
        return None
    try:
        data = from_base64(text)
    except (Fault, ValueError):
        return None
    # Even a strict decoder ignores the last bits, which no byte needs.
    end = data[len(data) - (len(data) - 1) % 3 - 1 :]
    return data if text.endswith(b64encode(end).decode("ascii")) else None


def _utf8_of(literal: str) -> Iterator[bytes]:
    if "\\" not in literal:
        yield from _utf8_of_slices(literal)
        return
    place = 0
    while place < len(literal):
        # Some at a time: no other thread of the process runs while json reads.
        part = _ESCAPED.match(literal, place)
        if part is None:
            raise CodecError("not strict JSON: an unknown escape in a string")
        yield json.loads(f'"{part[0]}"').encode("utf-8", "surrogatepass")
        place = part.end()


def _utf8_of_slices(text: str) -> Iterator[bytes]:
    for at in range(0, len(text), _PIECE):
        yield text[at : at + _PIECE].encode("utf-8", "surrogatepass")
