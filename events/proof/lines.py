"""Reads the lines of a bundle strictly: there is exactly one way to write each value.

Needs neither Django nor a database, because `turnlog.events.verify` needs neither.
"""

from __future__ import annotations

import base64
import functools
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NoReturn

MAX_LINE = 64 * 1024 * 1024
"""Maximum bytes of an unpacked line: one event with its payload."""

BLOB_MARK = b'{"_type":"blob",'
"""What stands in a payload for a blob begins with this; see `core/codec/blobs.py`."""

_BLOB = re.compile(rb'\{"_type":"blob","_value":\{"sha256":"([0-9a-f]{64})"')
_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def blobs_named(payload: bytes) -> set[str]:
    """The digests of the blobs that a payload refers to. In the text of a string, the quotes would
    be escaped."""
    return {digest.decode() for digest in _BLOB.findall(payload)} if BLOB_MARK in payload else set()


class BundleError(ValueError):
    """What is wrong with a bundle, in one sentence."""


class NoBundle(BundleError):
    """The file is something else than a bundle, or one of another version."""


class OtherKey(BundleError):
    """A bundle that none of the caller's keys has signed; by its own key it may be intact."""


def objects(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each line's number and its JSON object; unpacks gzip."""
    # Peek instead of seeking back to the beginning: a pipe cannot seek.
    stream = file
    if not isinstance(stream, io.BufferedReader):
        # Any stream of bytes will do, and typeshed wants a raw one.
        stream = io.BufferedReader(stream)  # type: ignore[type-var]
    magic = stream.peek(4)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        raise NoBundle("it is compressed with zstd; unpack it first (zstd -d)")
    unpacked: Any = gzip.GzipFile(fileobj=stream) if magic.startswith(b"\x1f\x8b") else stream
    number = 0
    try:
        while line := unpacked.readline(MAX_LINE + 1):
            number += 1
            yield number, _first(line) if number == 1 else object_of(number, line)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        wrong(number + 1, "expected a whole gzip file, found a damaged or truncated one")


def _first(line: bytes) -> dict[str, Any]:
    try:
        return object_of(1, line)
    except BundleError:
        if len(line) > MAX_LINE or b"turnlog bundle" in line:
            raise
        raise NoBundle(
            "expected a file that export_log wrote, which begins with a line of JSON, found"
            " something else"
        ) from None


def object_of(number: int, line: bytes) -> dict[str, Any]:
    """The JSON object of a line. Raises BundleError."""
    if len(line) > MAX_LINE:
        wrong(number, f"expected at most {MAX_LINE} bytes, found more")
    if not line.endswith(b"\n"):
        wrong(number, "expected a line feed at its end, but the file is cut off")
    try:
        value = _DECODER.decode(line.decode())
    except BundleError as error:
        wrong(number, str(error))
    except (ValueError, RecursionError):
        wrong(number, "expected a JSON object in UTF-8, found something else")
    if type(value) is not dict:
        wrong(number, "expected a JSON object, found something else")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BundleError("expected each name once, found one twice")
    return made


def _refused(text: str) -> NoReturn:
    raise BundleError(f"expected whole numbers, found {text[:40]}")


def _fitting(text: str) -> int:
    number = int(text)
    if not fits(number):
        raise BundleError(f"expected 64-bit numbers, found {text[:40]}")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=_refused, parse_constant=_refused)
# The numbers of a line are checked where they are used, which costs less.
PAYLOAD_DECODER = json.JSONDecoder(
    object_pairs_hook=_once,
    parse_float=_refused,
    parse_constant=_refused,
    parse_int=_fitting,
)


def require(number: int, line: dict[str, Any], types: Mapping[str, tuple[type, ...]]) -> None:
    if line.keys() != types.keys():
        wrong(number, f"expected the names {', '.join(types)}, found {', '.join(line)[:200]}")
    for name, allowed in types.items():
        if type(line[name]) not in allowed:
            expected = " or ".join(_KINDS[kind] for kind in allowed)
            found = _KINDS.get(type(line[name]), "another value")
            wrong(number, f"expected {expected} as `{name}`, found {found}")


_KINDS: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "an object",
}


def hash_bytes(number: int, text: Any) -> bytes:
    """32 bytes from 64 hex digits in lower case: there is exactly one way to write a value."""
    try:
        value = bytes.fromhex(text)
    except (ValueError, TypeError):
        value = b""
    if len(value) != 32 or value.hex() != text:
        wrong(number, f"expected 32 bytes in hex, found {str(text)[:80]!r}")
    return value


def base64_bytes(number: int, text: str) -> bytes:
    """The bytes of base64 (RFC 4648, section 4), written in the only way there is."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        data = b""
    if base64.b64encode(data) != text.encode(errors="replace"):
        wrong(number, f"expected bytes in base64, found {text[:80]!r}")
    return data


def is_plain(value: Any) -> bool:
    return type(value) is str or (type(value) is int and fits(value))


def fits(number: int) -> bool:
    return -(1 << 63) <= number < 1 << 63


def uuid_bytes(number: int, text: str | None) -> bytes | None:
    value = None if text is None else _parsed_uuid(text)
    if text is not None and value is None:
        wrong(number, f"expected a UUID in lower case with dashes, found {str(text)[:80]!r}")
    return value


@functools.lru_cache(maxsize=1024)  # The events of a turn have the same ids, one after another.
def _parsed_uuid(text: str) -> bytes | None:
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else None


def utf8(number: int, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        wrong(number, "expected text, found half of a surrogate pair")


def wrong(number: int, what: str) -> NoReturn:
    raise BundleError(f"line {number}: {what}")
