"""pandas' extension arrays: `{"_type": "pandas.array", "_value": {"dtype": {...}, ...}}`.

| `dtype` (as in pandas_dtypes) | other keys |
|---|---|
| nullable numbers | `values` (ndarray, 0 where missing), `mask` (ndarray of bool, or null) |
| string | `items` (strings, null where missing) |
| category | `codes` (ndarray, -1 where missing) |
| datetime | `values` (ndarray of datetime64, in UTC) |
| `{"name": "numpy"}`: `Series.array` of a column with a NumPy dtype | `values` |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ..containers import encode_items
from ..dispatch import DECODERS, dec, decode_items
from ..fault import Fault, expect, expect_keys
from .numpy_arrays import encode_array as encode_ndarray
from .pandas_dtypes import MASKED, decode_dtype, dtype_body
from .pandas_zones import check_clock

_ROWS = 50_000

_PARTS = {
    "numpy": ("values",),
    "category": ("codes",),
    "string": ("items",),
    "datetime": ("values",),
    **dict.fromkeys(MASKED, ("values", "mask")),
}


def encode_column(values: Any, depth: int) -> Any:
    """The values of a Series or an Index: an ndarray if NumPy has the dtype, else an array."""
    if isinstance(values.dtype, np.dtype):
        return encode_ndarray(values.to_numpy(), depth)
    return encode_array(values.array, depth)


def decode_column(document: Any, depth: int) -> Any:
    """One-dimensional values. Raises Fault for anything that pandas would stretch or convert."""
    values = dec(document, depth)
    if not isinstance(values, np.ndarray | pd.api.extensions.ExtensionArray) or values.ndim != 1:
        # pandas would repeat a single value along an index of any length.
        raise Fault("values must be a one-dimensional array")
    if isinstance(values.dtype, np.dtype) and values.dtype.kind not in "biufcmMO":
        # pandas would make objects of them; text of width 0 may claim any length.
        raise Fault(f"pandas has no values of dtype {values.dtype!s:.80}")
    return values


def encode_array(value: Any, depth: int) -> Any:
    """The document of an extension array of one dimension."""
    if value.ndim != 1:
        raise Fault("cannot store an array of several dimensions; give a DataFrame", "pandas.array")
    if isinstance(value.dtype, pd.DatetimeTZDtype):
        check_clock(value)
    dtype = value.dtype
    # datetime64 and timedelta64 without a zone, and the wrapper around an ndarray. (The arrays of
    # strings derive from that wrapper.)
    is_numpy = isinstance(dtype, np.dtype) or (
        isinstance(value, pd.arrays.NumpyExtensionArray) and not isinstance(dtype, pd.StringDtype)
    )
    body: dict[str, Any] = {"dtype": {"name": "numpy"} if is_numpy else dtype_body(dtype, depth)}
    if is_numpy:
        body["values"] = encode_ndarray(value.to_numpy(), depth + 1)
    elif isinstance(dtype, pd.CategoricalDtype):
        body["codes"] = encode_ndarray(value.codes, depth + 1)
    elif isinstance(dtype, pd.StringDtype):
        body["items"] = encode_items(_texts(value), depth + 1)
    elif isinstance(dtype, pd.DatetimeTZDtype):
        body["values"] = encode_ndarray(value.to_numpy(dtype=f"M8[{dtype.unit}]"), depth + 1)
    else:
        body |= _encode_masked(value, depth + 1)
    return {"_type": "pandas.array", "_value": body}


def _texts(value: Any) -> Iterator[Any]:
    # Some at a time: no other thread of the process runs while pandas makes objects of them.
    for at in range(0, len(value), _ROWS):
        yield from value[at : at + _ROWS].to_numpy(dtype=object, na_value=None).tolist()


def _encode_masked(value: Any, depth: int) -> dict[str, Any]:
    mask = value.isna()
    # Zeros under the mask instead of leftovers, so that equal arrays give equal bytes.
    values = value.to_numpy(dtype=value.dtype.numpy_dtype, na_value=0)
    return {
        "values": encode_ndarray(values, depth),
        "mask": encode_ndarray(mask, depth) if mask.any() else None,
    }


def decode_array(body: Any, depth: int) -> Any:
    """The extension array of a document's `_value`."""
    dtype_document = expect(body, dict, "the value of a pandas.array").get("dtype")
    name = expect(dtype_document, dict, "a pandas dtype").get("name")
    if type(name) is not str or name not in _PARTS:
        raise Fault(f"unknown pandas dtype {name!r:.80}")
    parts = _PARTS[name]
    expect_keys(body, ("dtype", *parts))
    dtype = None if name == "numpy" else decode_dtype(dtype_document, depth)
    array = _build(dtype, [_decode_part(body, part, depth + 1) for part in parts])
    # A category is the dtype itself. To compare two of them, pandas would look at all entries.
    if dtype is not None and array.dtype is not dtype and array.dtype != dtype:
        raise Fault(f"the values are of dtype {array.dtype!s:.80}, not {dtype!s:.80}")
    return array


def _decode_part(body: dict[str, Any], part: str, depth: int) -> Any:
    if part == "items":
        return decode_items(expect(body[part], list, part), depth)
    if part == "mask" and body[part] is None:
        return None
    return expect(decode_column(body[part], depth), np.ndarray, part)


def _build(dtype: Any, parts: list[Any]) -> Any:
    values = parts[0]
    if dtype is None:
        if values.dtype.kind in "mM":
            return pd.array(values, dtype=values.dtype)
        return pd.arrays.NumpyExtensionArray(values)
    if isinstance(dtype, pd.CategoricalDtype):
        if dtype.categories is None:
            raise Fault("the dtype of a categorical array must have categories")
        return pd.Categorical.from_codes(_of_kind(values, "i"), dtype=dtype)
    if isinstance(dtype, pd.StringDtype):
        if not all(item is None or isinstance(item, str) for item in values):
            raise Fault("the items of a string array must be strings or null")
        return pd.array(values, dtype=dtype)
    if isinstance(dtype, pd.DatetimeTZDtype):
        if values.dtype != np.dtype(f"M8[{dtype.unit}]"):
            raise Fault(f"the values must be of the dtype's unit, {dtype.unit}")
        return pd.array(values, dtype=values.dtype).tz_localize("UTC").tz_convert(dtype.tz)
    mask = parts[1] if parts[1] is not None else np.zeros(len(values), dtype=bool)
    return MASKED[dtype.name](_of_kind(values, "biuf"), _of_kind(mask, "b"))


def _of_kind(values: Any, kinds: str) -> Any:
    if values.dtype.kind not in kinds:
        raise Fault(f"the values are of the wrong dtype, {values.dtype!s:.80}")
    return values


DECODERS["pandas.array"] = decode_array
