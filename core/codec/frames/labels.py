"""Whether the labels of an index differ, without pandas' hash tables.

pandas' hashes of numbers are known, and its tables have no defence against numbers that were chosen
to collide. Sorting takes the same time for any numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..collisions import check_hashes
from ..fault import Fault


def expect_unique(index: Any, what: str) -> None:
    """Raise Fault unless the labels of `index` differ. Missing ones are equal, as in pandas."""
    if not _differ(index):
        raise Fault(f"{what} must be unique")


def _differ(index: Any) -> bool:
    if isinstance(index, pd.RangeIndex):
        return True
    if isinstance(index, pd.MultiIndex):
        return _rows_differ([np.asarray(codes) for codes in index.codes])
    if isinstance(index, pd.CategoricalIndex):
        return _numbers_differ(np.asarray(index.codes))
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        return _numbers_differ(index.asi8)
    missing = index.isna()
    if missing.sum() > 1:
        return False
    present = index[~missing]
    if isinstance(index.dtype, np.dtype) and index.dtype.kind != "O":
        return _numbers_differ(present.to_numpy())
    if isinstance(index.dtype, pd.StringDtype):
        return len(set(present)) == len(present)
    if isinstance(index.dtype, np.dtype):
        labels = list(present)
        # No documents: how long a number is, `decode_items` has not told. A set tells all else.
        check_hashes(labels, [None] * len(labels))
        return len(set(labels)) == len(labels)
    return _numbers_differ(present.to_numpy(dtype=index.dtype.numpy_dtype))


def _numbers_differ(values: Any) -> bool:
    ordered = np.sort(values)
    return not bool((ordered[1:] == ordered[:-1]).any())


def _rows_differ(columns: list[Any]) -> bool:
    if len(columns[0]) == 0:
        return True
    order = np.lexsort(columns)
    same = np.ones(len(order) - 1, dtype=bool)
    for column in columns:
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    return not bool(same.any())


def sorted_levels(columns: list[Any], wanted: int) -> bool:
    """Whether rows, given by columns of numbers, are in order by the first `wanted` columns."""
    open_ = np.ones(max(len(columns[0]) - 1, 0), dtype=bool)
    for column in columns[:wanted]:
        before, after = column[:-1], column[1:]
        if bool((open_ & (after < before)).any()):
            return False
        open_ &= after == before
    return True
