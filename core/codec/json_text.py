"""Documents as text: strict JSON (RFC 8259) that every database and every reader accepts."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from ..errors import CodecError
from .strings import PAIR, SURROGATE

# ensure_ascii=False keeps text readable and searchable in the database. check_circular is off
# because it costs a fifth of the time, and encode() already bounds the depth.
_WRITE = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def to_json(document: Any) -> str:
    """The JSON text of a document that `encode` made.

    The text has no spaces, no NaN and no Infinity. Characters are written as they are, except that
    control characters and lone surrogates are escaped. So the text encodes as UTF-8 and has no NUL.

    Raises `CodecError` if `encode` cannot have made the document.
    """
    try:
        text = _WRITE(document)
    except RecursionError:
        raise CodecError("the document nests too deeply for JSON") from None
    except (TypeError, ValueError) as exc:
        raise CodecError(f"not a document: {exc}; call encode() first, or use dumps()") from exc
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
