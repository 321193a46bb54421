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

What keeps the blobs is above this room, and registers here (`use`).
"""

from __future__ import annotations

import codecs
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from ..errors import CodecError
from .dispatch import DECODERS
from .fault import Fault, expect_keys
from .json_text import parse, to_json
from .scalars import from_base64
from .scanning import long_strings

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
_BEFORE = re.compile(r"data:[\w.+/=;-]{0,200};base64,", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{64}")
_AT_ONCE = 2**20
_PIECE = 100_000
_ESCAPED = re.compile(r"(?:[^\\]{1,100}|\\u[0-9a-fA-F]{4}|\\[^u]){1,1000}+")

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


class Cut(NamedTuple):
    """A JSON text with nodes for its large strings, and the blobs, by their digests."""

    text: str
    blobs: dict[str, bytes]


def use(loader: Loader) -> None:
    """Register what reads blobs: a function of a digest in hex, and of how many bytes to read from
    the beginning (None: all). It raises CodecError if the blob is not there."""
    _loader[:] = [loader]


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


def _blob_of(literal: str) -> tuple[Blob, bytes]:
    """The blob of a string, and its bytes. `literal` is the string's JSON text without quotes."""
    return _binary(literal) or _text(b"".join(_utf8_of(literal)))


def _blob_of_text(text: str) -> tuple[Blob, bytes]:
    """The blob of a string of more than a million characters, and its bytes."""
    return _binary(text) or _text(b"".join(_utf8_of_slices(text)))


def _text(data: bytes) -> tuple[Blob, bytes]:
    return Blob(sha256(data).hexdigest(), len(data)), data


def _binary(text: str) -> tuple[Blob, bytes] | None:
    found = _BEFORE.match(text)
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


def _decode(body: Any, depth: int) -> Blob:
    expect_keys(body, ("sha256", "size"), ("base64",))
    blob = _of_document({"_type": "blob", "_value": body})
    if blob is None:
        raise Fault("a blob must be a SHA-256 in hex and a size")
    return blob


DECODERS["blob"] = _decode
