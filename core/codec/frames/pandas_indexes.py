"""pandas' indexes.

| value | `_type` | `_value` |
|---|---|---|
| RangeIndex | `pandas.RangeIndex` | `start`, `stop`, `step`, `name` |
| MultiIndex | `pandas.MultiIndex` | `levels` ([Index]), `codes` ([ndarray]), `names`, `sortorder` |
| Index and its other kinds | `pandas.Index` | `values` (ndarray or pandas.array), `name`, `freq` |

The dtype of the values decides the class of the last (DatetimeIndex, CategoricalIndex, ...). An
index of dates or times that has a `freq` has it as its frequency string, such as `"W-MON"`. The
levels keep entries that no code uses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from ..containers import encode_items
from ..dispatch import DECODERS, dec, decode_items, enc
from ..fault import Fault, expect, expect_keys, type_name
from .labels import expect_unique, sorted_levels
from .numpy_arrays import encode_array as encode_ndarray
from .pandas_arrays import decode_column, encode_column

_LONGEST_FREQ = 100

_RANGE = ("start", "stop", "step")

# A RangeIndex claims any length for free, but as a level it costs pandas a byte for each entry.
_LONGEST_RANGE_LEVEL = 10_000_000


def encode_range(value: Any, depth: int) -> Any:
    body = {part: getattr(value, part) for part in _RANGE}
    return {"_type": "pandas.RangeIndex", "_value": body | {"name": enc(value.name, depth + 1)}}


def _decode_range(body: Any, depth: int) -> Any:
    expect_keys(body, (*_RANGE, "name"))
    start, stop, step = (expect(body[part], int, part) for part in _RANGE)
    return pd.RangeIndex(start, stop, step, name=dec(body["name"], depth + 1))


def encode_index(value: Any, depth: int) -> Any:
    body = {"values": encode_column(value, depth + 1), "name": enc(value.name, depth + 1)}
    freq = value.freq if isinstance(value, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    if freq is not None:
        body["freq"] = _frequency_string(freq)
    return {"_type": "pandas.Index", "_value": body}


def _decode_index(body: Any, depth: int) -> Any:
    expect_keys(body, ("values", "name"), ("freq",))
    values, name = decode_column(body["values"], depth + 1), dec(body["name"], depth + 1)
    # With the dtype, and tuples as they are, so that pandas infers nothing from the values.
    index = pd.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)
    if index.dtype is not values.dtype and index.dtype != values.dtype:
        raise Fault(f"pandas has no index of dtype {values.dtype!s:.80}")
    if "freq" in body:
        if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
            raise Fault("only an index of dates or times has a freq")
        freq = expect(body["freq"], str, "freq")
        if len(freq) > _LONGEST_FREQ:
            raise Fault(f"freq may have {_LONGEST_FREQ} characters at most")
        # The stubs leave out that it can be set.
        index.freq = to_offset(freq)  # type: ignore[misc]
    return index


def _frequency_string(freq: Any) -> str:
    text: str = freq.freqstr
    try:
        if len(text) <= _LONGEST_FREQ and to_offset(text) == freq:
            return text
    except ValueError:
        pass  # the Fault below covers this case as well
    raise Fault(
        f"cannot store the frequency {text!r:.80} exactly: pandas does not read it back from its"
        " text; set the index's freq to None",
        type_name(type(freq)),
    )


def encode_multi(value: Any, depth: int) -> Any:
    depth += 1
    for level in value.levels:
        _check_level(level)
    body = {
        # Without the levels' own names: they are the index's names.
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
    if len(levels) != len(codes) or len(names) != len(codes) or not codes:
        raise Fault("levels, codes and names must be as many, and one at least")
    codes = [_checked(*pair, len(codes[0])) for pair in zip(levels, codes, strict=True)]
    sortorder = expect(body["sortorder"], (int, type(None)), "sortorder")
    if sortorder is not None and not (
        0 <= sortorder <= len(codes) and sorted_levels(codes, sortorder)
    ):
        raise Fault("sortorder does not fit the codes")
    # pandas' own checks take a byte for each entry of a RangeIndex, and use hash tables: see
    # `labels`.
    return pd.MultiIndex(
        levels=levels, codes=codes, names=names, sortorder=sortorder, verify_integrity=False
    )


def _checked(level: Any, code: Any, length: int) -> Any:
    """The codes of a level, if they are its places or -1; those of missing entries become -1."""
    _check_level(expect_index(level))
    if isinstance(level, pd.MultiIndex):
        raise Fault("a level must be an Index of one level")
    if expect(code, np.ndarray, "codes").dtype.kind != "i" or code.ndim != 1:
        raise Fault("codes must be one-dimensional arrays of integers")
    if len(code) != length:
        raise Fault("codes must be arrays of one length")
    if length and not (code.min() >= -1 and code.max() < len(level)):
        raise Fault(f"codes must be from -1 to {len(level) - 1}")
    expect_unique(level, "the entries of a level")
    if isinstance(level, pd.RangeIndex) or not level.hasnans:
        return code
    return np.where(level.isna()[code], -1, code).astype(code.dtype)


def _check_level(level: Any) -> None:
    if isinstance(level, pd.RangeIndex) and len(level) > _LONGEST_RANGE_LEVEL:
        raise Fault(
            f"a RangeIndex of {len(level):,} entries is too long for a level of a MultiIndex; the"
            f" limit is {_LONGEST_RANGE_LEVEL:,}"
        )


def expect_index(value: Any) -> Any:
    """`value` if it is an Index, else a Fault."""
    if not isinstance(value, pd.Index):
        raise Fault(f"an Index must stand here, not {type_name(type(value))}")
    return value


DECODERS["pandas.RangeIndex"] = _decode_range
DECODERS["pandas.Index"] = _decode_index
DECODERS["pandas.MultiIndex"] = _decode_multi
