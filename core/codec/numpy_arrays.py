"""NumPy's arrays and scalars.

| value | `_type` | `_value` |
|---|---|---|
| ndarray | `numpy.ndarray` | `{"dtype": descr, "shape": [2, 3], "order": "C", "data": base64}` |
| ndarray of object or StringDType | the same | with `"items": [...]`, in C order, for `data` |
| bool, int, finite float of 64 bits or less | `numpy.scalar` | `{"dtype": "<i8", "value": 5}` |
| any other scalar | the same | with `data` for `value` |
| str_, bytes_ | `numpy.str_`, `numpy.bytes_` | its text, its base64 |

This is NEP 1's format with its header as JSON: `data` is what follows the header in a .npy file
(`numpy.frombuffer(data, dtype).reshape(shape, order=order)`). Memory that is contiguous in neither
order is stored in C order. Strides and the read-only flag are not kept, and types that are one
in memory (longlong, int64) come back as the usual one. Floats of extended precision can be read
on machines that have the same.
"""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

import numpy as np

from .containers import encode_items
from .dispatch import DECODERS, Encoder, dec, decode_items, enc
from .fault import Fault, expect, expect_keys
from .numpy_dtypes import decode_descr, decode_shape, encode_descr, encode_dtype, is_string
from .scalars import from_base64, to_base64

_SCALARS = frozenset(np.sctypeDict.values()) - {np.object_}


def encoder_for(cls: type) -> Encoder | None:
    """The encoder for NumPy's own classes; None for subclasses (matrix, memmap, masked arrays)."""
    if cls is np.ndarray:
        return encode_array
    if issubclass(cls, np.dtype):
        return encode_dtype
    if cls is np.str_ or cls is np.bytes_:
        return _encode_text
    return _encode_scalar if cls in _SCALARS else None


def encode_array(value: Any, depth: int) -> Any:
    dtype = value.dtype
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    body = {"dtype": encode_descr(dtype, depth), "shape": list(value.shape), "order": order}
    if dtype.kind == "O" or is_string(dtype):
        body["items"] = encode_items(value.ravel(order="C").tolist(), depth + 1)
    else:
        body["data"] = to_base64(_clean(value, order).tobytes(order=order))
    return {"_type": "numpy.ndarray", "_value": body}


def decode_array(body: Any, depth: int) -> Any:
    key = "items" if type(body) is dict and "items" in body else "data"
    expect_keys(body, ("dtype", "shape", "order", key))
    dtype, shape = decode_descr(body["dtype"], depth), decode_shape(body["shape"])
    order = body["order"]
    if order not in ("C", "F"):
        raise Fault("order must be C or F")
    if key == "items":
        items = decode_items(expect(body[key], list, "items"), depth + 1)
        return _of_items(items, dtype, shape, order)
    if dtype.hasobject or is_string(dtype):
        raise Fault("an array of objects must have items, not data")
    data = from_base64(body[key])
    # The shape is a claim, the data is what there is; nothing is allocated by the shape.
    if prod(shape) * dtype.itemsize != len(data):
        raise Fault(f"{len(data)} bytes of data do not fill the shape {body['shape']!r:.80}")
    array = np.ndarray(shape, dtype, buffer=bytearray(data), order=order)
    _check(array)
    return array


def _of_items(items: list[Any], dtype: Any, shape: tuple[int, ...], order: Any) -> Any:
    if not (dtype.kind == "O" or is_string(dtype)):
        raise Fault("only arrays of object or StringDType have items")
    if prod(shape) != len(items):
        raise Fault(f"{len(items)} items do not fill the shape {list(shape)!r:.80}")
    array: Any = np.empty(shape, dtype, order=order)
    # One at a time: given a list, NumPy would look into items that are sequences themselves.
    for index, item in enumerate(items):
        array.flat[index] = item
    return array


def _clean(value: Any, order: Any) -> Any:
    """`value` with zeros in the bytes between its fields and behind extended-precision floats:
    there is whatever the memory held before, and it is not ours to keep."""
    dtype = value.dtype
    if dtype.names:
        clean = np.zeros(value.shape, dtype, order=order)
        for name in dtype.names:
            clean[name] = _clean(value[name], order)
        return clean
    if dtype.kind in "fc" and dtype.itemsize in (16, 32) and dtype.char in "gG":
        clean = np.array(value, order=order, copy=True)
        if np.finfo(np.longdouble).nmant == 63:  # x87: 10 bytes in 16
            raw = clean.reshape(-1, order=order).view(np.uint8).reshape(-1, 16)
            raw[:, 10:] = 0
        return clean
    return value


def _check(array: Any) -> None:
    """Refuse bytes that NumPy accepts and fails over later."""
    dtype = array.dtype
    if dtype.names:
        for name in dtype.names:
            _check(array[name])
    elif dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise Fault("a bool must be 0 or 1")
    elif dtype.kind == "U" and dtype.itemsize and array.size:
        points = np.ascontiguousarray(array).reshape(-1).view(dtype.byteorder + "u4")
        if points.max() > 0x10FFFF:
            raise Fault("a character must be at most U+10FFFF")


def _encode_scalar(value: Any, depth: int) -> Any:
    dtype = value.dtype
    body = {"dtype": encode_descr(dtype, depth)}
    if dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8 and isfinite(value)):
        body["value"] = value.item()
    else:
        body["data"] = to_base64(_clean(np.asarray(value), "C").tobytes())
    return {"_type": "numpy.scalar", "_value": body}


def _decode_scalar(body: Any, depth: int) -> Any:
    if type(body) is dict and "data" in body:
        expect_keys(body, ("dtype", "data"))
        return decode_array({**body, "shape": [], "order": "C"}, depth)[()]
    expect_keys(body, ("dtype", "value"))
    dtype, value = decode_descr(body["dtype"], depth), body["value"]
    wanted = {"b": bool, "i": int, "u": int, "f": float}.get(dtype.kind)
    if wanted is None:
        raise Fault("such a scalar must have data, not a value")
    with np.errstate(all="ignore"):  # told below
        scalar = dtype.type(expect(value, wanted, "value"))
    if scalar.item() != value:
        raise Fault(f"the value does not fit {body['dtype']}")
    return scalar


def _encode_text(value: Any, depth: int) -> Any:
    # The built-in's own conversion: NumPy's strips trailing NULs.
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
