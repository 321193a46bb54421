"""Exact round trip between Python objects and JSON documents.

    >>> from turnlog.core.codec import dumps, loads
    >>> dumps({"when": date(2026, 11, 22), "what": ("a", 1)})
    '{"when":{"_type":"date","_value":"2026-11-22"},"what":{"_type":"tuple","_value":["a",1]}}'

Plain JSON values stand for themselves. Everything else is `{"_type": T, "_value": V}`. A dict with
a key `_type` of its own is tagged too, so that data can never pose as a tag. A decoded value has
the type and the value of the original. If a value cannot be kept exactly, the codec raises
`CodecError` with the type (`type_name`) and the place (`path`, such as `$.steps[0].observation`).

No pickle, no import by a name found in data, no `str(obj)`. NumPy, pandas, Pillow and LangChain are
imported only when the codec meets one of their values.
"""

from __future__ import annotations

from typing import Any

from ..errors import CodecError
from . import containers, messages, optional, scalars, times  # noqa: F401 - they fill the tables
from .blobs import Blob, read
from .dispatch import MAX_DEPTH, dec, enc, too_deep
from .encoded import Encoded
from .fault import Fault
from .json_text import to_json
from .registered import register

__all__ = [
    "MAX_DEPTH",
    "Blob",
    "CodecError",
    "decode",
    "dumps",
    "encode",
    "loads",
    "read",
    "register",
    "to_json",
]


def encode(value: Any) -> Any:
    """The document of `value`: only dict, list, str, int, float, bool and None, strictly JSON.

    The document shares no object with `value`. Raises `CodecError` if the codec does not store a
    type in it, or if it nests deeper than `MAX_DEPTH`. An `Encoded` is returned as it is.
    """
    if type(value) is Encoded:
        return value
    try:
        return enc(value, 0)
    except Fault as fault:
        raise fault.error() from fault.__cause__
    except RecursionError:
        raise too_deep().error() from None
    except Exception as exc:
        # A library's own failure, a property that raises, or a value that another thread changes:
        # callers must not need to know each of them.
        why = f"{type(exc).__name__}: {str(exc)[:200]}"
        raise Fault(f"cannot store this value: {why}", type(value).__name__).error() from exc


def decode(document: Any) -> Any:
    """The value of a document that `encode` made. Raises `CodecError` for any other document."""
    try:
        return dec(read(document.text) if type(document) is Encoded else document, 0)
    except Fault as fault:
        raise fault.error() from fault.__cause__
    except RecursionError:
        raise too_deep().error() from None


def dumps(value: Any) -> str:
    """The JSON text of `value`'s document (see `to_json`). Raises `CodecError`."""
    return to_json(encode(value))


def loads(text: str) -> Any:
    """The value in a JSON text that `dumps` wrote. Raises `CodecError`."""
    return decode(read(text))
