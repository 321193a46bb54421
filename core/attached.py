"""The pictures and files of a message, among its content blocks.

A message that somebody sent with files has LangChain's standard blocks: `image` and `file` with
`base64` and `mime_type`, and a `text` block for each file of plain text, which models read as text.
`additional_kwargs["attachments"]` says of each block which file it is; no provider is sent it. A
project may have recorded other messages with pictures: they are found by their blocks alone.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from .codec.blobs import Blob

DESCRIBED = "attachments"
"""The name among a message's `additional_kwargs`."""

Kind = Literal["picture", "file"]

_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,", re.IGNORECASE)
_MOST_BLOCKS = 1_000


@dataclass(frozen=True, slots=True)
class Attached:
    """A picture or a file: `number` is its place among the message's content blocks, from 0."""

    number: int
    kind: Kind
    name: str
    mime_type: str
    width: int = 0
    height: int = 0
    """Pixels; 0 if not known."""


def attached(content: Any, kwargs: Any) -> list[Attached]:
    """Return what is attached to a message with this `content` and these `additional_kwargs`."""
    if not isinstance(content, list):
        return []
    known = described(kwargs)
    found = (_of_block(n, block, known.get(n)) for n, block in enumerate(content[:_MOST_BLOCKS]))
    return [each for each in found if each is not None]


def words_of(content: Any, kwargs: Any) -> str | None:
    """Return what somebody wrote, without their files of text; None if no file is a text."""
    known = described(kwargs)
    if not isinstance(content, list) or not known:
        return None
    texts = (_text(block) for n, block in enumerate(content) if n not in known)
    return "".join(filter(None, texts))


def described(kwargs: Any) -> dict[int, Mapping[str, Any]]:
    """Return what a message says of its files, by the numbers of their blocks."""
    given = kwargs.get(DESCRIBED) if isinstance(kwargs, Mapping) else None
    if not isinstance(given, list):
        return {}
    known = {}
    for each in given[:_MOST_BLOCKS]:
        number = each.get("block") if isinstance(each, Mapping) else None
        if type(number) is int:
            known[number] = each
    return known


def bytes_of(block: Any, kind: Kind, mime_type: str, load: Callable[[str], bytes]) -> bytes | None:
    """Return the file in a block; None if there is none that can be read.

    `load` returns a blob's bytes, by its SHA-256 in hex: a large file is one.
    """
    if kind == "file" and mime_type == "text/plain":
        text = _text(block)
        return None if text is None else _unwrapped(text).encode("utf-8", "replace")
    data = _base64(block)
    if data is None or isinstance(data, Blob):
        return None if data is None else load(data.sha256)
    try:
        return b64decode(data, validate=True)
    except ValueError:
        return None


def as_text_block(name: str, text: str) -> dict[str, str]:
    """Return the block in which a model reads a file of text, with its name."""
    return {"type": "text", "text": f'<file name="{escape(name)}">\n{text}\n</file>\n'}


def weight_of(block: Any) -> Any:
    """Return a block as it counts for a number of tokens: no model reads base64 as text.

    A PDF has about as many tokens as the thirtieth part of its characters in base64.
    """
    data = _base64(block) if isinstance(block, Mapping) and block.get("type") == "file" else None
    if data is None:
        return block
    length = data.size * 4 // 3 if isinstance(data, Blob) else len(data)
    return {"type": "text", "text": " " * (length // 8)}


def _of_block(number: int, block: Any, known: Mapping[str, Any] | None) -> Attached | None:
    if not isinstance(block, Mapping):
        return None
    kind = block.get("type")
    if kind in ("image", "image_url"):
        mime_type = _mime_type(block)
        found: Kind = "picture"
    elif kind == "file":
        mime_type, found = _mime_type(block), "file"
    elif kind == "text" and known is not None:
        mime_type, found = "text/plain", "file"
    else:
        return None
    known = known or {}
    name, sides = known.get("name"), (known.get("width"), known.get("height"))
    width, height = (s if type(s) is int and 0 < s < 100_000 else 0 for s in sides)
    return Attached(number, found, name if type(name) is str else "", mime_type, width, height)


def _mime_type(block: Mapping[str, Any]) -> str:
    given = block.get("mime_type")
    if isinstance(given, str):
        return given
    url = _url(block)
    match = _DATA_URL.match(url.base64 or "" if isinstance(url, Blob) else url)
    return match[1].lower() if match else ""


def _base64(block: Any) -> str | Blob | None:
    if not isinstance(block, Mapping):
        return None
    data = block.get("base64")
    if isinstance(data, str | Blob):
        return data
    url = _url(block)
    if isinstance(url, Blob):
        return url
    match = _DATA_URL.match(url)
    return url[match.end() :] if match else None


def _url(block: Mapping[str, Any]) -> str | Blob:
    url = block.get("image_url", block.get("url"))
    url = url.get("url") if isinstance(url, Mapping) else url
    return url if isinstance(url, str | Blob) else ""


def _text(block: Any) -> str | None:
    text = (
        block.get("text") if isinstance(block, Mapping) and block.get("type") == "text" else block
    )
    return text if isinstance(text, str) else None


_WRAPPED = re.compile(r'<file name="[^"]*">\n(.*)\n</file>\n', re.DOTALL)


def _unwrapped(text: str) -> str:
    match = _WRAPPED.fullmatch(text)
    return match[1] if match else text
