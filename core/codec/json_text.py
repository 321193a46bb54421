"""Documents as text: strict JSON (RFC 8259) that every database and every reader accepts.

While json's encoder writes, no other thread of the process runs. So a large document is written
piece by piece; the text is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NoReturn

from ..errors import CodecError
from ..wellformed import slices
from .encoded import Encoded
from .strings import PAIR, SURROGATE

# ensure_ascii=False keeps text readable and searchable in the database. check_circular is off
# because it costs a fifth of the time, and encode() already bounds the depth.
_WRITE = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode

PIECE = 20_000
"""How much is written at once: so many values, or 50 times as many characters."""

_CHARACTERS = 50


def to_json(document: Any, aside: Callable[[str], str] | None = None) -> str:
    """The JSON text of a document that `encode` made. An `Encoded` may stand for any part of it.

    `aside` gives what stands in the text for a string of more than a million characters.

    The text has no spaces, no NaN and no Infinity. Characters are written as they are, except that
    control characters and lone surrogates are escaped. So the text encodes as UTF-8 and has no NUL.

    Raises `CodecError` if `encode` cannot have made the document.
    """
    try:
        if _left(document, PIECE) >= 0:
            return _clean(_WRITE(document))
        return "".join(map(_clean, pieces(document, aside=aside)))
    except RecursionError:
        raise CodecError("the document nests too deeply for JSON") from None
    except (TypeError, ValueError) as exc:
        raise CodecError(f"not a document: {exc}; call encode() first, or use dumps()") from exc


def pieces(
    value: Any,
    write: Callable[[Any], str] = _WRITE,
    comma: str = ",",
    aside: Callable[[str], str] | None = None,
) -> Iterator[str]:
    """Yield the JSON text of a value in pieces; `write` gives that of a small value, and `aside`,
    if given, that of a large string.

    Raises what they raise.
    """
    if type(value) is Encoded:
        yield value.text
    elif _left(value, PIECE) >= 0:
        yield write(value)
    elif type(value) is str and aside is not None:
        yield aside(value)
    elif type(value) is str:
        yield '"'
        for part in slices(value, PIECE * _CHARACTERS):
            yield write(part)[1:-1]
        yield '"'
    elif type(value) is dict:
        before = "{"
        for key, item in value.items():
            # As a member, because JSON turns some other keys into text.
            yield before + write({key: 0})[1:-2]
            yield from pieces(item, write, comma, aside)
            before = comma
        yield "}"
    elif type(value) is list:
        before = "["
        for chunk in chunks(value):
            yield before
            if len(chunk) == 1:
                yield from pieces(chunk[0], write, comma, aside)
            else:
                yield write(chunk)[1:-1]
            before = comma
        yield "]"
    else:
        yield write(value)


def chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield the values in lists that are small enough to be written at once, or hold one value."""
    chunk: list[Any] = []
    room = PIECE
    for value in values:
        left = _left(value, room)
        if left < 0 and chunk:
            yield chunk
            chunk, left = [], _left(value, PIECE)
        chunk.append(value)
        room = left
        if left < 0:
            yield chunk
            chunk, room = [], PIECE
    if chunk:
        yield chunk


def _left(value: Any, room: int) -> int:
    """What is left of `room` for values after this one; below 0 if it does not fit."""
    kind = type(value)
    if kind is str:
        return room - 1 - len(value) // _CHARACTERS
    if kind is Encoded:
        return -1
    if kind is list or kind is dict:
        if room < len(value):
            return -1
        # Each append asks this of each document: most of what is inside needs no call.
        for item in value if kind is list else chain(value, value.values()):
            inner = type(item)
            if inner is str:
                room -= 1 + len(item) // _CHARACTERS
            elif inner in _PLAIN:
                room -= 1
            else:
                room = _left(item, room)
            if room < 0:
                return -1
    return room - 1


_PLAIN = frozenset((int, float, bool, type(None)))


def _clean(text: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        if PAIR.search(text):
            raise CodecError("not a document: text in it is not encoded; use dumps()") from None
        # A surrogate is always inside a string, where backslashes are doubled. So it can be
        # replaced by its escape without parsing.
        return SURROGATE.sub(_escape, text)
    return text


def parse(text: str) -> Any:
    """The document in a JSON text. Raises `CodecError` if it is not strict JSON."""
    if type(text) is not str:
        raise CodecError(f"JSON text must be str, not {type(text).__name__}")
    try:
        return _READ(text)
    except RecursionError:
        raise CodecError("the JSON text nests too deeply") from None
    except ValueError as exc:
        raise CodecError(f"not strict JSON: {exc}") from exc


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_READ = json.JSONDecoder(parse_constant=_refuse).decode
