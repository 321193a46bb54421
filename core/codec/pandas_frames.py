"""DataFrame and Series; and where all of pandas is found.

| value | `_type` | `_value` |
|---|---|---|
| DataFrame | `pandas.DataFrame` | `index`, `columns` (Index), `data` ([ndarray or pandas.array]) |
| Series | `pandas.Series` | `index`, `name`, `data` (ndarray or pandas.array) |

A frame's `data` holds its columns by place, so labels may repeat. `attrs` (a dict) and
`unique_labels` (true where `flags.allows_duplicate_labels` is off) are there only where they say
something.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from . import pandas_dtypes, pandas_indexes, pandas_scalars
from .dispatch import DECODERS, Encoder, dec, enc
from .fault import Fault, expect, expect_keys
from .pandas_arrays import decode_column, encode_array, encode_column, expect_index

_OPTIONAL = ("attrs", "unique_labels")


def _encode_frame(value: Any, depth: int) -> Any:
    body = {"index": enc(value.index, depth + 1), "columns": enc(value.columns, depth + 1)}
    body["data"] = [
        _encode_values(value.iloc[:, place], label, depth + 1)
        for place, label in enumerate(value.columns)
    ]
    return {"_type": "pandas.DataFrame", "_value": body | _extras(value, depth)}


def _encode_series(value: Any, depth: int) -> Any:
    body = {
        "index": enc(value.index, depth + 1),
        "name": enc(value.name, depth + 1),
        "data": encode_column(value, depth + 1),
    }
    return {"_type": "pandas.Series", "_value": body | _extras(value, depth)}


def _encode_values(series: Any, label: Any, depth: int) -> Any:
    try:
        return encode_column(series, depth)
    except Fault as fault:
        fault.at_key(label)
        raise


def _extras(value: Any, depth: int) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if value.attrs:
        try:
            extras["attrs"] = enc(value.attrs, depth + 1)
        except Fault as fault:
            fault.at_key("attrs")
            raise
    if not value.flags.allows_duplicate_labels:
        extras["unique_labels"] = True
    return extras


def _decode_frame(body: Any, depth: int) -> Any:
    expect_keys(body, ("index", "columns", "data"), _OPTIONAL)
    index = expect_index(dec(body["index"], depth + 1))
    columns = expect_index(dec(body["columns"], depth + 1))
    data = expect(body["data"], list, "data")
    if len(data) != len(columns):
        raise Fault(f"{len(columns)} columns are named, but {len(data)} are there")
    by_place = {}
    for place, label in enumerate(columns):
        try:
            by_place[place] = _series(data[place], index, depth + 1)
        except Fault as fault:
            fault.at_key(label)
            raise
    frame = pd.DataFrame(by_place, index=index)
    frame.columns = columns
    return _restore(frame, body, depth)


def _decode_series(body: Any, depth: int) -> Any:
    expect_keys(body, ("index", "name", "data"), _OPTIONAL)
    series = _series(body["data"], expect_index(dec(body["index"], depth + 1)), depth + 1)
    series.name = dec(body["name"], depth + 1)
    return _restore(series, body, depth)


def _series(document: Any, index: Any, depth: int) -> Any:
    values = decode_column(document, depth)
    if len(values) != len(index):
        raise Fault(f"the index has {len(index)} entries, but there are {len(values)} values")
    # With its dtype: pandas would otherwise look into objects and make strings of them.
    series = pd.Series(values, index=index, dtype=values.dtype, copy=False)
    if series.dtype != values.dtype:
        raise Fault(f"pandas has no column of dtype {values.dtype!s:.80}")
    return series


def _restore(value: Any, body: dict[str, Any], depth: int) -> Any:
    if "attrs" in body:
        value.attrs = expect(dec(body["attrs"], depth + 1), dict, "attrs")
    if "unique_labels" in body:
        if body["unique_labels"] is not True:
            raise Fault("unique_labels is true or absent")
        value.flags.allows_duplicate_labels = False
    return value


_ENCODERS: dict[type, Encoder] = {
    pd.DataFrame: _encode_frame,
    pd.Series: _encode_series,
    pd.RangeIndex: pandas_indexes.encode_range,
    pd.MultiIndex: pandas_indexes.encode_multi,
    **dict.fromkeys(
        (
            pd.Index,
            pd.DatetimeIndex,
            pd.TimedeltaIndex,
            pd.PeriodIndex,
            pd.IntervalIndex,
            pd.CategoricalIndex,
        ),
        pandas_indexes.encode_index,
    ),
    pd.Timestamp: pandas_scalars.encode_timestamp,
    pd.Timedelta: pandas_scalars.encode_timedelta,
    pd.Period: pandas_scalars.encode_period,
    pd.Interval: pandas_scalars.encode_interval,
    type(pd.NaT): pandas_scalars.encode_missing,
    type(pd.NA): pandas_scalars.encode_missing,
}


def encoder_for(cls: type) -> Encoder | None:
    """The encoder for pandas' own classes; None for subclasses of them."""
    if issubclass(cls, pd.api.extensions.ExtensionArray):
        return encode_array
    if issubclass(cls, pd.api.extensions.ExtensionDtype):
        return pandas_dtypes.encode_dtype
    if issubclass(cls, pd.tseries.offsets.BaseOffset):
        return pandas_scalars.encode_offset
    return _ENCODERS.get(cls)


DECODERS["pandas.DataFrame"] = _decode_frame
DECODERS["pandas.Series"] = _decode_series
