"""Reads a large JSON text only as far as somebody needs it.

While json's decoder reads, no other thread of the process runs, and a value takes several times the
memory of its text. Here, what is large stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..errors import CodecError
from .blobs import MARK, beginnings
from .encoded import Encoded
from .json_text import parse, pieces
from .scanning import end_of_string

_SMALL = 100_000
"""Characters that are read at once."""

_SPACE = re.compile(r"[ \t\n\r]*+")
# Values without brackets, and the commas and colons between them: many at a time, yet not for long.
_RUN = re.compile(r'(?:[^"\\\[\]{}]{1,1000}|"[^"\\]{0,1000}"){1,500}+')
_PLAIN = re.compile(r'[^"\[\]{}, \t\n\r:]++')


def outline(text: str, depth: int) -> Any:
    """The document in a JSON text, with an `Encoded` for each large value `depth` levels down.

    A large value that is tagged, or a string, is one at any level. So is a value with a blob in it,
    and no blob is loaded. Raises `CodecError` if the text is not JSON; what stays text is not
    looked at.
    """
    if _is_small(text, 0, len(text)):
        return parse(text)
    try:
        start = _space(text, 0)
        end = _end(text, start)
        if _space(text, end) == len(text):
            return _outlined(text, start, end, depth)
    except (IndexError, ValueError, TypeError):
        pass  # A bracket or a value is not where it must be: the error below says so.
    raise CodecError("not strict JSON: brackets, commas or quotes do not fit")


def beginning(document: Any, length: int) -> str:
    """About the first `length` characters of a document: of a str itself, else of its JSON text.

    Takes the same time for a document of any size. Raises `CodecError` if it is none.
    """
    if type(document) is not Encoded:
        return document[:length] if type(document) is str else _written(document, length)
    text = beginnings(document.text, length)
    if not text.startswith('"'):
        return text[:length]
    # A character takes six of JSON at most. The last one may be cut.
    start = text[: 6 * length + 1]
    if start == text:
        return str(parse(text))[:length]
    for end in range(len(start), len(start) - 6, -1):
        with suppress(CodecError):
            return str(parse(start[:end] + '"'))[:length]
    raise CodecError("not strict JSON: an unknown escape in a string")


def _written(document: Any, length: int) -> str:
    text = ""
    try:
        for piece in pieces(document):
            text += piece
            if len(text) >= length:
                break
    except (TypeError, ValueError, RecursionError) as exc:
        raise CodecError(f"not a document: {exc}") from exc
    return text[:length]


def _outlined(text: str, start: int, end: int, depth: int) -> Any:
    if _is_small(text, start, end):
        return parse(text[start:end])
    if text[start] == "[" and depth > 0:
        return [_outlined(text, *place, depth - 1) for place in _items(text, start)]
    if text[start] == "{" and depth > 0 and not text.startswith('{"_type":', start):
        places = _items(text, start)
        return {
            str(parse(text[slice(*key)])): _outlined(text, *place, depth - 1)
            for key, place in zip(places, places, strict=True)
        }
    return Encoded(text[start:end])


def _is_small(text: str, start: int, end: int) -> bool:
    return end - start <= _SMALL and text.find(MARK, start, end) < 0


def _items(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield where the items of an array begin and end, or an object's keys and values in turn."""
    place = _space(text, start + 1)
    while text[place] not in "]}":
        end = _end(text, place)
        yield place, end
        place = _space(text, end)
        if text[place] in ",:":
            place = _space(text, place + 1)


def _end(text: str, start: int) -> int:
    """The end of the value that begins at `start`."""
    place, depth = start, 0
    while True:
        sign = text[place : place + 1]
        if sign == '"':
            place = end_of_string(text, place)
        elif sign in ("[", "{"):
            depth += 1
            place += 1
        elif sign in ("]", "}"):
            depth -= 1
            place += 1
        elif found := (_RUN if depth else _PLAIN).match(text, place):
            place = found.end()
        else:
            raise CodecError("not strict JSON: it is cut short, or a value is missing")
        if depth <= 0:
            return place
        if found := _RUN.match(text, place):
            place = found.end()


def _space(text: str, place: int) -> int:
    return _SPACE.match(text, place).end()  # type: ignore[union-attr]  # Matches anywhere.
