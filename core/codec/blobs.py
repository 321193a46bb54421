"""Large strings of a document, kept outside it: each is a *blob*, and the document has its SHA-256.

| string | `_type` | `_value` |
|---|---|---|
| base64, as the codec writes bytes | `blob` | `{"sha256":hex,"size":n,"base64":""}` |
| `data:image/png;base64,` and base64 | `blob` | the same, with what precedes it as `base64` |
| any other text | `blob` | `{"sha256":hex,"size":n}` |

The blob is the bytes of the base64, or the text in UTF-8, where half a character (a lone surrogate)
takes its three bytes. `size` counts them. A node stands for a string, wherever that may be: a
bytes' `_value`, the text of a message, an array's data. The nodes are found in the JSON text, where
no string can look like one: its quotes are escaped.

`cutting.py` makes them. What keeps them is above this room, and registers here (`use`).
"""

from __future__ import annotations

import codecs
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ..errors import CodecError
from .dispatch import DECODERS
from .fault import Fault, expect_keys
from .json_text import parse, to_json

MARK = '{"_type":"blob",'
"""What each node begins with, and nothing else in a JSON text that the codec has written."""

MOST = 2**30
"""Bytes that a document's blobs may have together: about what a database stores as one text."""

Loader = Callable[[str, int | None], bytes]

_NODE = re.compile(
    r'\{"_type":"blob","_value":\{"sha256":"([0-9a-f]{64})","size":([0-9]{1,18})'
    r'(?:,"base64":"((?:data:[\w.+/=;-]{0,200};base64,)?)")?\}\}',
    re.ASCII,
)
BEFORE = re.compile(r"data:[\w.+/=;-]{0,200};base64,", re.ASCII)
"""What may precede base64 in a string: the beginning of a data URL (RFC 2397)."""

_AT_ONCE = 2**20

_loader: list[Loader] = []


class Blob(NamedTuple):
    """A node: the blob's SHA-256 in hex and its size in bytes. `base64` is what precedes the base64
    of its bytes in the string, mostly nothing; None if the blob is a text."""

    sha256: str
    size: int
    base64: str | None = None

    @property
    def node(self) -> str:
        """The JSON text that stands for the string."""
        kind = "" if self.base64 is None else f',"base64":"{self.base64}"'
        return f'{{"_type":"blob","_value":{{"sha256":"{self.sha256}","size":{self.size}{kind}}}}}'


def use(loader: Loader) -> None:
    """Register what reads blobs: a function of a digest in hex, and of how many bytes to read from
    the beginning (None: all). It raises CodecError if the blob is not there."""
    _loader[:] = [loader]


def blobs_in(text: str) -> list[Blob]:
    """The nodes in a JSON text, in order."""
    return [_blob(found) for found in _NODE.finditer(text)] if MARK in text else []


def whole(text: str) -> str:
    """Return a JSON text with all strings in their places again. Raises CodecError if a blob is
    missing, or another one than the node says."""
    return _with(text, _Strings()) if MARK in text else text


def with_texts(text: str) -> str:
    """Return a JSON text with those strings in their places that are texts; what is binary stays a
    node. Raises CodecError as `whole` does."""
    if MARK not in text:
        return text
    strings = _Strings()
    return _with(text, lambda blob: strings(blob) if blob.base64 is None else blob.node)


def beginnings(text: str, length: int) -> str:
    """Return a JSON text with the first `length` characters of each text that is a blob; of no more
    of these than it takes for `length` characters in all. What is binary stays a node."""
    if MARK not in text:
        return text
    left = length

    def start(blob: Blob) -> str:
        nonlocal left
        if blob.base64 is not None or left <= 0:
            return blob.node
        said = _beginning(blob, left)
        left -= len(said)
        return to_json(said)

    return _with(text, start)


def _beginning(blob: Blob, length: int) -> str:
    data = _load(blob.sha256, 4 * length)
    # The last character may be cut.
    return codecs.getincrementaldecoder("utf-8")("surrogatepass").decode(data)[:length]


def read(text: str) -> Any:
    """The document in a JSON text, with all strings in their places. Raises CodecError."""
    return parse(whole(text) if type(text) is str else text)


def readable(document: Any, is_room: Callable[[int], bool], longest: int) -> Any:
    """Return a document that can be decoded, with its texts in their places. Binary strings stay
    nodes where they are the value of a plain object, such as a block of a message: in the decoded
    one, each is a `Blob`. Elsewhere they are needed to read it. Raises CodecError as `whole` does.

    `is_room` is asked for each text, by its size in bytes: if there is none, only the first
    `longest` characters are there.
    """
    strings = _Strings()

    def string_of(blob: Blob) -> str:
        if blob.base64 is not None or is_room(blob.size):
            return strings(blob)
        return to_json(f"{_beginning(blob, longest)} …")

    return _filled(document, string_of, bare=False)


def _filled(value: Any, string_of: Callable[[Blob], str], *, bare: bool) -> Any:
    if type(value) is list:
        return [_filled(item, string_of, bare=False) for item in value]
    if type(value) is not dict:
        return value
    if value.get("_type") == "blob" and (blob := _of_document(value)):
        return value if bare and blob.base64 is not None else parse(string_of(blob))
    tagged = "_type" in value
    return {
        key: {name: _filled(part, string_of, bare=False) for name, part in item.items()}
        if tagged and type(item) is dict and "_type" not in item
        else _filled(item, string_of, bare=not tagged)
        for key, item in value.items()
    }


def _of_document(document: Any) -> Blob | None:
    found = _NODE.fullmatch(to_json(document))
    return None if found is None else _blob(found)


class _Strings:
    """What stands in the place of a node: the JSON of its string, each blob loaded once."""

    def __init__(self) -> None:
        self._texts: dict[Blob, str] = {}
        self._left = MOST

    def __call__(self, blob: Blob) -> str:
        self._left -= blob.size
        if self._left < 0:
            raise CodecError(f"expected blobs of at most {MOST} bytes in a document, found more")
        if blob not in self._texts:
            self._texts[blob] = _string_of(blob)
        return self._texts[blob]


def _with(text: str, string_of: Callable[[Blob], str]) -> str:
    parts: list[str] = []
    done = 0
    for found in _NODE.finditer(text):
        parts += [text[done : found.start()], string_of(_blob(found))]
        done = found.end()
    return "".join([*parts, text[done:]])


def _string_of(blob: Blob) -> str:
    data = _load(blob.sha256, None)
    if len(data) != blob.size:
        raise CodecError(
            f"expected the blob {blob.sha256} to have {blob.size} bytes, found {len(data)}"
        )
    if blob.base64 is not None:
        return "".join(['"', blob.base64, *base64_of(data), '"'])
    try:
        return to_json(data.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        raise CodecError(
            f"expected the blob {blob.sha256} to be a text, found other bytes"
        ) from None


def base64_of(data: bytes) -> Iterator[str]:
    """Yield the base64 of bytes (RFC 4648, section 4), some at a time."""
    # A multiple of three at a time, so that only the end is padded.
    step = _AT_ONCE // 4 * 3
    view = memoryview(data)
    return (b64encode(view[at : at + step]).decode("ascii") for at in range(0, len(data), step))


def _load(digest: str, most: int | None) -> bytes:
    if not _loader:
        raise CodecError(f"nothing here reads the blob {digest}: add turnlog to INSTALLED_APPS")
    return _loader[0](digest, most)


def _blob(found: re.Match[str]) -> Blob:
    return Blob(found[1], int(found[2]), found[3])


def _decode(body: Any, depth: int) -> Blob:
    expect_keys(body, ("sha256", "size"), ("base64",))
    blob = _of_document({"_type": "blob", "_value": body})
    if blob is None:
        raise Fault("a blob must be a SHA-256 in hex and a size")
    return blob


DECODERS["blob"] = _decode
