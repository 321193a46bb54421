"""Documents as text: strict JSON (RFC 8259) that any database and any reader takes."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from ..errors import CodecError
from .strings import PAIR, SURROGATE

# Text stays readable and searchable in the database (ensure_ascii=False). check_circular is off:
# a document is made by encode(), which bounds its depth, and the check costs a fifth of the time.
_WRITE = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def to_json(document: Any) -> str:
    """The JSON text of a document that `encode` made.

    Without spaces, without NaN or Infinity, all characters as they are except control characters
    and lone surrogates, which are escaped: the text encodes as UTF-8 and holds no NUL.

    Raises `CodecError` if it is no document of `encode`'s.
    """
    try:
        text = _WRITE(document)
    except RecursionError:
        raise CodecError("the document nests too deep for JSON") from None
    except (TypeError, ValueError) as exc:
        raise CodecError(f"not a document: {exc}; call encode() first, or dumps()") from exc
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        if PAIR.search(text):
            raise CodecError("not a document: text in it must be encoded first") from None
        # A surrogate stands inside a string, and backslashes there are doubled, so the escape
        # can be put in its place without parsing.
        return SURROGATE.sub(_escape, text)
    return text


def parse(text: str) -> Any:
    """The document in a JSON text. Raises `CodecError` if it is not strict JSON."""
    if type(text) is not str:
        raise CodecError(f"JSON text must be str, not {type(text).__name__}")
    try:
        return _READ(text)
    except RecursionError:
        raise CodecError("the JSON text nests too deep") from None
    except ValueError as exc:
        raise CodecError(f"not strict JSON: {exc}") from exc


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_READ = json.JSONDecoder(parse_constant=_refuse).decode
