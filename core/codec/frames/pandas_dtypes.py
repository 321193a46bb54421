"""pandas' extension dtypes: `{"_type": "pandas.dtype", "_value": {"name": ..., ...}}`.

| dtype | `name` | other keys |
|---|---|---|
| nullable numbers | `Int8` ... `UInt64`, `Float32`, `Float64`, `boolean` | |
| strings | `string` | `storage` ("python", "pyarrow"), `na_value` (nan or NA) |
| categories | `category` | `categories` (an Index, or null), `ordered` |
| datetimes with a zone | `datetime` | `unit`, `tz` (as in pandas_zones) |
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..dispatch import DECODERS, dec, enc
from ..fault import Fault, expect, expect_keys, type_name
from .labels import expect_unique
from .pandas_zones import decode_zone, encode_zone

MASKED: dict[str, Any] = {
    **{f"Int{bits}": pd.arrays.IntegerArray for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": pd.arrays.IntegerArray for bits in (8, 16, 32, 64)},
    **{f"Float{bits}": pd.arrays.FloatingArray for bits in (32, 64)},
    "boolean": pd.arrays.BooleanArray,
}


def encode_dtype(value: Any, depth: int) -> Any:
    return {"_type": "pandas.dtype", "_value": dtype_body(value, depth)}


def dtype_body(value: Any, depth: int) -> dict[str, Any]:
    """The `_value` of an extension dtype. Raises Fault if the table above does not have it."""
    depth += 1
    if isinstance(value, pd.StringDtype):
        na_value = enc(value.na_value, depth)
        return {"name": "string", "storage": value.storage, "na_value": na_value}
    if isinstance(value, pd.CategoricalDtype):
        categories = enc(value.categories, depth)
        return {"name": "category", "categories": categories, "ordered": value.ordered}
    if isinstance(value, pd.DatetimeTZDtype):
        return {"name": "datetime", "unit": value.unit, "tz": encode_zone(value.tz, depth)}
    if value.name in MASKED:
        return {"name": value.name}
    name = type_name(type(value))
    raise Fault(
        f"cannot store the dtype {value.name!r:.80} ({name}) exactly; convert it with astype() to"
        " a dtype of NumPy's, or to a nullable, string or category dtype",
        name,
    )


def decode_dtype(body: Any, depth: int) -> Any:
    """The dtype of a `_value` that `dtype_body` made."""
    name = expect(body, dict, "a pandas dtype").get("name")
    depth += 1
    if name == "string":
        expect_keys(body, ("name", "storage", "na_value"))
        storage, na_value = expect(body["storage"], str, "storage"), dec(body["na_value"], depth)
        if na_value is not pd.NA and type(na_value) is not float:
            raise Fault("na_value must be nan or NA")
        return _string_dtype(storage, na_value)
    if name == "category":
        expect_keys(body, ("name", "categories", "ordered"))
        categories = dec(body["categories"], depth)
        if categories is not None and not isinstance(categories, pd.Index):
            raise Fault("categories must be an Index or null")
        ordered = expect(body["ordered"], (bool, type(None)), "ordered")
        return _category_dtype(categories, ordered)
    if name == "datetime":
        expect_keys(body, ("name", "unit", "tz"))
        unit = expect(body["unit"], str, "unit")
        return pd.DatetimeTZDtype(unit, decode_zone(body["tz"], depth))
    if type(name) is not str or name not in MASKED:
        raise Fault(f"unknown pandas dtype {name!r:.80}")
    expect_keys(body, ("name",))
    return pd.api.types.pandas_dtype(name)


def _string_dtype(storage: str, na_value: Any) -> Any:
    try:
        return pd.StringDtype(storage, na_value=na_value)
    except ImportError:
        # pandas 3 makes a table's texts "pyarrow" wherever pyarrow is installed, and they must be
        # readable elsewhere. It compares the two as equal.
        return pd.StringDtype("python", na_value=na_value)


def _category_dtype(categories: Any, ordered: bool | None) -> Any:
    if categories is None:
        return pd.CategoricalDtype(None, ordered)
    if isinstance(categories, pd.MultiIndex) or categories.hasnans:
        raise Fault("categories must be an Index of one level, without missing entries")
    expect_unique(categories, "categories")
    # Without pandas' own check that they are unique: see `labels`.
    return pd.CategoricalDtype._from_fastpath(categories, ordered)  # type: ignore[attr-defined]  # not public


DECODERS["pandas.dtype"] = decode_dtype
