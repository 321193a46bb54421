"""DataFrame and Series, and the table of pandas' encoders.

| value | `_type` | `_value` |
|---|---|---|
| DataFrame | `pandas.DataFrame` | `index`, `columns` (Index), `data` ([ndarray or pandas.array]) |
| Series | `pandas.Series` | `index`, `name`, `data` (ndarray or pandas.array) |

A frame's `data` holds its columns by position, so labels may repeat. Two keys are there only if
they differ from the default: `attrs` (a dict), and `unique_labels` (true if
`flags.allows_duplicate_labels` is off).
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..dispatch import DECODERS, dec, enc
from ..fault import Fault, expect, expect_keys
from ..libraries import Encoder
from ..unknown import unknown_class
from .labels import expect_unique
from .legacy_frames import decode_legacy_frame, decode_legacy_series
from .pandas_arrays import decode_column, encode_array, encode_column
from .pandas_dtypes import encode_dtype
from .pandas_indexes import encode_index, encode_multi, encode_range, expect_index
from .pandas_scalars import encode_missing, encode_timedelta, encode_timestamp

_OPTIONAL = ("attrs", "unique_labels")


def _encode_frame(value: Any, depth: int) -> Any:
    body = {part: _encode_part(value, part, depth + 1) for part in ("index", "columns")}
    body["data"] = [
        _encode_values(value.iloc[:, place], label, depth + 1)
        for place, label in enumerate(value.columns)
    ]
    return {"_type": "pandas.DataFrame", "_value": body | _extras(value, depth)}


def _encode_series(value: Any, depth: int) -> Any:
    body = {part: _encode_part(value, part, depth + 1) for part in ("index", "name")}
    body["data"] = encode_column(value, depth + 1)
    return {"_type": "pandas.Series", "_value": body | _extras(value, depth)}


def _encode_part(value: Any, part: str, depth: int) -> Any:
    try:
        return enc(getattr(value, part), depth)
    except Fault as fault:
        fault.at_key(part)
        raise


def _encode_values(series: Any, label: Any, depth: int) -> Any:
    try:
        return encode_column(series, depth)
    except Fault as fault:
        fault.at_key(label)
        raise


def _extras(value: Any, depth: int) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if value.attrs:
        extras["attrs"] = _encode_part(value, "attrs", depth + 1)
    if not value.flags.allows_duplicate_labels:
        extras["unique_labels"] = True
    return extras


def _decode_frame(body: Any, depth: int) -> Any:
    expect_keys(body, ("index", "columns", "data"), _OPTIONAL)
    index = expect_index(dec(body["index"], depth + 1))
    columns = expect_index(dec(body["columns"], depth + 1))
    data = expect(body["data"], list, "data")
    if len(data) != len(columns):
        raise Fault(f"columns names {len(columns)} columns, but data holds {len(data)}")
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
    # With the dtype: without it, pandas looks into objects and makes strings of them.
    series = pd.Series(values, index=index, dtype=values.dtype, copy=False)
    if series.dtype is not values.dtype and series.dtype != values.dtype:
        raise Fault(f"pandas has no column of dtype {values.dtype!s:.80}")
    return series


def _restore(value: Any, body: dict[str, Any], depth: int) -> Any:
    if "attrs" in body:
        value.attrs = expect(dec(body["attrs"], depth + 1), dict, "attrs")
    if "unique_labels" in body:
        if body["unique_labels"] is not True:
            raise Fault("unique_labels must be true or absent")
        for axis in value.axes:
            expect_unique(axis, "labels")
        # Without pandas' own check that they are unique: see `labels`.
        value.flags._allows_duplicate_labels = False
    return value


_ENCODERS: dict[type, Encoder] = {
    pd.DataFrame: _encode_frame,
    pd.Series: _encode_series,
    pd.RangeIndex: encode_range,
    pd.MultiIndex: encode_multi,
    pd.Index: encode_index,
    pd.DatetimeIndex: encode_index,
    pd.TimedeltaIndex: encode_index,
    pd.CategoricalIndex: encode_index,
    pd.Timestamp: encode_timestamp,
    pd.Timedelta: encode_timedelta,
    type(pd.NaT): encode_missing,
    type(pd.NA): encode_missing,
}

_ADVICE: dict[type, str] = {
    pd.Period: "give its ends: (value.start_time, value.end_time), or its text: str(value)",
    pd.PeriodIndex: "give timestamps: value.to_timestamp(), or text: value.astype(str)",
    pd.Interval: "give its ends: (value.left, value.right), or its text: str(value)",
    pd.IntervalIndex: "give its ends: value.left and value.right, or text: value.astype(str)",
}


def encoder_for(cls: type) -> Encoder | None:
    """The encoder for pandas' own classes; None for others, and for subclasses of them.

    Raises Fault, with advice, for the classes of pandas' that the codec does not store but knows.
    """
    if issubclass(cls, pd.api.extensions.ExtensionArray):
        return encode_array
    if issubclass(cls, pd.api.extensions.ExtensionDtype):
        return encode_dtype
    if issubclass(cls, pd.tseries.offsets.BaseOffset):
        raise unknown_class(cls, "give its frequency string: value.freqstr")
    if cls in _ADVICE:
        raise unknown_class(cls, _ADVICE[cls])
    return _ENCODERS.get(cls)


DECODERS["pandas.DataFrame"] = _decode_frame
DECODERS["pandas.Series"] = _decode_series
DECODERS["DataFrame"] = decode_legacy_frame
DECODERS["Series"] = decode_legacy_series
