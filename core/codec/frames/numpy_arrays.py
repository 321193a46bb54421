"""NumPy's arrays and scalars.

| value | `_type` | `_value` |
|---|---|---|
| ndarray | `numpy.ndarray` | `{"dtype": descr, "shape": [2, 3], "order": "C", "data": base64}` |
| ndarray of dtype object | the same | with `"items": [...]`, in C order, instead of `data` |
| bool, int, finite float | `numpy.scalar` | `{"dtype": "<i8", "value": 5}` |
| any other scalar | the same | with `data` instead of `value` |
| str_, bytes_ | `numpy.str_`, `numpy.bytes_` | its text, its base64 |

This is NEP 1's format with its header as JSON: `data` is what follows the header in a .npy file
(`numpy.frombuffer(data, dtype).reshape(shape, order=order)`). An array that is contiguous in
neither order is stored in C order. Strides and the read-only flag are not kept. Two types with the
same memory (longlong, int64) come back as the usual one of the two.
"""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

import numpy as np

from ..containers import encode_items
from ..dispatch import DECODERS, dec, decode_items, enc
from ..fault import Fault, expect, expect_keys
from ..libraries import Encoder
from ..scalars import from_base64, to_base64
from .numpy_dtypes import decode_descr, encode_descr, encode_dtype

# clongdouble and longdouble differ between machines.
_REFUSED = {np.object_, np.void, np.longdouble, np.clongdouble}
_MOST_AXES = 64

_SCALARS = frozenset(np.sctypeDict.values()) - _REFUSED


def encoder_for(cls: type) -> Encoder | None:
    """The encoder for NumPy's own classes; None for others and for subclasses (matrix, memmap)."""
    if cls is np.ndarray:
        return encode_array
    if issubclass(cls, np.dtype):
        return encode_dtype
    if cls is np.str_ or cls is np.bytes_:
        return _encode_text
    return _encode_scalar if cls in _SCALARS else None


def encode_array(value: Any, depth: int) -> Any:
    """The document of an ndarray of any shape. Raises Fault if its dtype has no descr."""
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    body = {"dtype": encode_descr(value.dtype), "shape": list(value.shape), "order": order}
    if value.dtype.kind == "O":
        body["items"] = encode_items(value.ravel(order="C").tolist(), depth + 1)
    else:
        body["data"] = to_base64(value.tobytes(order=order))
    return {"_type": "numpy.ndarray", "_value": body}


def decode_array(body: Any, depth: int) -> Any:
    """The ndarray of a document's `_value`: writable, and of the stored order."""
    key = "items" if type(body) is dict and "items" in body else "data"
    expect_keys(body, ("dtype", "shape", "order", key))
    dtype, shape = decode_descr(body["dtype"]), _decode_shape(body["shape"])
    order = body["order"]
    if order not in ("C", "F"):
        raise Fault("order must be C or F")
    if (dtype.kind == "O") != (key == "items"):
        raise Fault("an array of dtype object must have items, any other array must have data")
    if key == "items":
        items = decode_items(expect(body[key], list, "items"), depth + 1)
        return _of_items(items, shape, order)
    data = from_base64(body[key])
    # The shape is only a claim, so nothing is allocated by it: the data decides.
    if prod(shape) * dtype.itemsize != len(data):
        raise Fault(f"{len(data)} bytes of data do not fill the shape {body['shape']!r:.80}")
    array = np.ndarray(shape, dtype, buffer=bytearray(data), order=order)
    _check(array)
    return array


def _decode_shape(body: Any) -> tuple[int, ...]:
    sizes = tuple(expect(size, int, "a size") for size in expect(body, list, "a shape"))
    if len(sizes) > _MOST_AXES or any(size < 0 or size.bit_length() > 63 for size in sizes):
        raise Fault(f"a shape must be of {_MOST_AXES} sizes at most, which are not negative")
    return sizes


def _of_items(items: list[Any], shape: tuple[int, ...], order: Any) -> Any:
    if prod(shape) != len(items):
        raise Fault(f"{len(items)} items do not fill the shape {list(shape)!r:.80}")
    array: Any = np.empty(shape, object, order=order)
    # One at a time: NumPy would unpack items that are sequences themselves.
    for index, item in enumerate(items):
        array.flat[index] = item
    return array


def _check(array: Any) -> None:
    """Refuse bytes that NumPy accepts here and fails on later."""
    dtype = array.dtype
    if dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise Fault("a bool must be 0 or 1")
    if dtype.kind == "U" and dtype.itemsize and array.size:
        points = np.ascontiguousarray(array).reshape(-1).view(dtype.byteorder + "u4")
        if points.max() > 0x10FFFF:
            raise Fault("a character must be at most U+10FFFF")


def _encode_scalar(value: Any, depth: int) -> Any:
    dtype = value.dtype
    body = {"dtype": encode_descr(dtype)}
    if dtype.kind in "biu" or (dtype.kind == "f" and isfinite(value)):
        body["value"] = value.item()
    else:
        body["data"] = to_base64(value.tobytes())
    return {"_type": "numpy.scalar", "_value": body}


def _decode_scalar(body: Any, depth: int) -> Any:
    if type(body) is dict and "data" in body:
        expect_keys(body, ("dtype", "data"))
        return decode_array({**body, "shape": [], "order": "C"}, depth)[()]
    expect_keys(body, ("dtype", "value"))
    dtype, value = decode_descr(body["dtype"]), body["value"]
    wanted = {"b": bool, "i": int, "u": int, "f": float}.get(dtype.kind)
    if wanted is None:
        raise Fault(f"a scalar of dtype {body['dtype']} must have data, not a value")
    with np.errstate(all="ignore"):  # the comparison below reports an overflow
        scalar = dtype.type(expect(value, wanted, "value"))
    if scalar.item() != value:
        raise Fault(f"the value does not fit the dtype {body['dtype']}")
    return scalar


def _encode_text(value: Any, depth: int) -> Any:
    # By the built-in's own conversion: NumPy's conversion strips trailing NULs.
    is_str = type(value) is np.str_
    plain = enc(str.__str__(value), depth) if is_str else to_base64(bytes.__bytes__(value))
    return {"_type": f"numpy.{type(value).__name__}", "_value": plain}


def _decode_str(body: Any, depth: int) -> Any:
    return np.str_(expect(dec(body, depth), str, "the value of a str_"))


def _decode_bytes(body: Any, depth: int) -> Any:
    return np.bytes_(from_base64(body))


DECODERS["numpy.ndarray"] = decode_array
DECODERS["numpy.scalar"] = _decode_scalar
DECODERS["numpy.str_"] = _decode_str
DECODERS["numpy.bytes_"] = _decode_bytes
