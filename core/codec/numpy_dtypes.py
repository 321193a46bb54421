"""NumPy's dtypes as JSON: the `descr` of NEP 1 (the .npy format), tuples written as arrays.

| dtype | descr |
|---|---|
| float64, big-endian int32, datetime64[ns], object | `"<f8"`, `">i4"`, `"<M8[ns]"`, `"\\|O"` |
| structured | `[["x", "<f4"], ["y", "<i4", [2, 3]], [["title", "z"], [["a", "\\|u1"]]]]` |
| StringDType | `{"name": "StringDType", "coerce": true}`, with `na_object` where it has one |

Source: https://numpy.org/neps/nep-0001-npy-format.html and the array interface's `descr`. The flag
of aligned structs is not kept (their layout is), nor is a dtype's metadata.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .dispatch import DECODERS, dec, enc
from .fault import Fault, expect, expect_keys
from .strings import survives_json

# No comma strings, no names like "int" whose meaning depends on the platform, no "O".
_SIMPLE = re.compile(
    r"[<>|][biufcmMSUV]\d{1,10}(\[\d*(as|fs|ps|ns|us|ms|s|m|h|D|W|M|Y)\])?", re.ASCII
)
_STRING = getattr(np.dtypes, "StringDType", None)  # NumPy 2


def is_string(dtype: Any) -> bool:
    return _STRING is not None and isinstance(dtype, _STRING)


def encode_descr(dtype: Any, depth: int) -> Any:
    """The descr of `dtype`. Raises Fault where NEP 1 cannot describe it."""
    if is_string(dtype):
        descr = {"name": "StringDType", "coerce": dtype.coerce}
        if hasattr(dtype, "na_object"):
            descr["na_object"] = enc(dtype.na_object, depth + 1)
        return descr
    if dtype.kind == "O":
        return "|O"
    try:
        if dtype.names is None:
            described = dtype.str
        else:
            described = _to_json(dtype.descr) if dtype.names else []
        if decode_descr(described, depth) == dtype:
            return described
    except (ValueError, Fault):
        pass  # told below, in one way
    raise Fault(
        f"cannot store the NumPy dtype {dtype!s:.80} exactly; repack its fields"
        " (numpy.lib.recfunctions.repack_fields), or hold objects in an array of dtype object",
        "numpy.dtype",
    )


def decode_descr(body: Any, depth: int) -> Any:
    """The dtype of a descr."""
    if type(body) is dict:
        return _decode_string(body, depth)
    if body == "|O":
        return np.dtype(object)
    return np.lib.format.descr_to_dtype(_from_json(body))


def _to_json(descr: Any) -> Any:
    if isinstance(descr, str):
        if not survives_json(descr):
            raise ValueError("a field's name is no valid text")
        return descr
    return [[_field(part) for part in field] for field in descr]


def _field(part: Any) -> Any:
    if isinstance(part, tuple):  # a shape, or (title, name)
        return [_to_json(item) if isinstance(item, str) else item for item in part]
    return _to_json(part)


def _from_json(body: Any) -> Any:
    if type(body) is str:
        if not _SIMPLE.fullmatch(body):
            raise Fault(f"{body!r:.80} is no NumPy descr")
        return body
    return [_from_field(field) for field in expect(body, list, "a NumPy descr")]


def _from_field(field: Any) -> tuple[Any, ...]:
    if type(field) is not list or len(field) not in (2, 3):
        raise Fault("a field of a NumPy descr must be [name, descr] or [name, descr, shape]")
    name, descr, *shape = field
    if type(name) is list:
        title, name = name
        name = (expect(title, str, "a field's title"), expect(name, str, "a field's name"))
    else:
        expect(name, str, "a field's name")
    return (name, _from_json(descr), *(decode_shape(part) for part in shape))


def decode_shape(body: Any) -> tuple[int, ...]:
    sizes = tuple(expect(size, int, "a size") for size in expect(body, list, "a shape"))
    if any(size < 0 for size in sizes):
        raise Fault("sizes must not be negative")
    return sizes


def _decode_string(body: Any, depth: int) -> Any:
    expect_keys(body, ("name", "coerce"), ("na_object",))
    if body["name"] != "StringDType" or _STRING is None:
        raise Fault("this NumPy has no such dtype; StringDType needs NumPy 2")
    options = {"na_object": dec(body["na_object"], depth + 1)} if "na_object" in body else {}
    return _STRING(coerce=expect(body["coerce"], bool, "coerce"), **options)


def encode_dtype(value: Any, depth: int) -> Any:
    return {"_type": "numpy.dtype", "_value": encode_descr(value, depth)}


DECODERS["numpy.dtype"] = decode_descr
