"""pandas' indexes.

| value | `_type` | `_value` |
|---|---|---|
| RangeIndex | `pandas.RangeIndex` | `start`, `stop`, `step`, `name` |
| MultiIndex | `pandas.MultiIndex` | `levels` ([Index]), `codes` ([ndarray]), `names`, `sortorder` |
| any other | `pandas.Index` | `values` (ndarray or pandas.array), `name`, `freq` |

The class of the last (DatetimeIndex, CategoricalIndex, ...) follows from the dtype of its values.
`freq` is there for dates and times that have one. Levels keep what no code uses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .containers import encode_items
from .dispatch import DECODERS, dec, decode_items, enc
from .fault import Fault, expect, expect_keys
from .numpy_arrays import encode_array as encode_ndarray
from .pandas_arrays import decode_column, encode_column, expect_index
from .pandas_scalars import offset_text, read_offset

_RANGE = ("start", "stop", "step")

# A RangeIndex claims any length for nothing; as a level, pandas spends a byte on each entry.
_LONGEST_RANGE_LEVEL = 10_000_000


def encode_range(value: Any, depth: int) -> Any:
    body = {part: getattr(value, part) for part in _RANGE}
    return {"_type": "pandas.RangeIndex", "_value": body | {"name": enc(value.name, depth + 1)}}


def _decode_range(body: Any, depth: int) -> Any:
    expect_keys(body, (*_RANGE, "name"))
    start, stop, step = (expect(body[part], int, part) for part in _RANGE)
    return pd.RangeIndex(start, stop, step, name=dec(body["name"], depth + 1))


def encode_index(value: Any, depth: int) -> Any:
    try:
        body = {"values": encode_column(value, depth + 1), "name": enc(value.name, depth + 1)}
    except Fault as fault:
        fault.at_key("index")
        raise
    freq = value.freq if isinstance(value, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    if freq is not None:
        body["freq"] = offset_text(freq)
    return {"_type": "pandas.Index", "_value": body}


def _decode_index(body: Any, depth: int) -> Any:
    expect_keys(body, ("values", "name"), ("freq",))
    values, name = decode_column(body["values"], depth + 1), dec(body["name"], depth + 1)
    # The dtype is given, and tuples left alone: nothing is to be inferred from the values.
    index = pd.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)
    if index.dtype != values.dtype:
        raise Fault(f"pandas has no index of dtype {values.dtype!s:.80}")
    if "freq" in body:
        if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
            raise Fault("only an index of dates or times has a freq")
        index.freq = read_offset(body["freq"])
    return index


def encode_multi(value: Any, depth: int) -> Any:
    depth += 1
    for level in value.levels:
        _check_level(level)
    body = {
        # Their names are the index's own.
        "levels": encode_items([level.rename(None) for level in value.levels], depth),
        "codes": [encode_ndarray(np.asarray(codes), depth) for codes in value.codes],
        "names": encode_items(value.names, depth),
        "sortorder": value.sortorder,
    }
    return {"_type": "pandas.MultiIndex", "_value": body}


def _decode_multi(body: Any, depth: int) -> Any:
    expect_keys(body, ("levels", "codes", "names", "sortorder"))
    depth += 1
    levels, codes, names = (
        decode_items(expect(body[part], list, part), depth) for part in ("levels", "codes", "names")
    )
    for level in levels:
        _check_level(expect_index(level))
    for code in codes:
        if expect(code, np.ndarray, "codes").dtype.kind != "i" or code.ndim != 1:
            raise Fault("codes must be one-dimensional arrays of integers")
    sortorder = expect(body["sortorder"], (int, type(None)), "sortorder")
    return pd.MultiIndex(levels=levels, codes=codes, names=names, sortorder=sortorder)


def _check_level(level: Any) -> None:
    if isinstance(level, pd.RangeIndex) and len(level) > _LONGEST_RANGE_LEVEL:
        raise Fault(f"a RangeIndex as a level may have {_LONGEST_RANGE_LEVEL:,} entries")


DECODERS["pandas.RangeIndex"] = _decode_range
DECODERS["pandas.Index"] = _decode_index
DECODERS["pandas.MultiIndex"] = _decode_multi
