"""What "comes back the same" means to the codec's tests, and that it can tell a difference."""

from __future__ import annotations

import dataclasses
import math
import struct
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow_once


def canon(value: Any) -> Any:
    """A comparable form that keeps every type, order, sign, zone and missing value apart."""
    return (f"{type(value).__module__}.{type(value).__qualname__}", _content(value))


def _content(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name, canon(value.value)
    if dataclasses.is_dataclass(value):
        return [
            (field.name, canon(getattr(value, field.name))) for field in dataclasses.fields(value)
        ]
    if hasattr(value, "__pydantic_extra__"):
        return canon(dict(value.__dict__)), canon(value.__pydantic_extra__)
    if isinstance(value, pd.DataFrame):
        columns = [canon(value.iloc[:, place]) for place in range(value.shape[1])]
        return canon(value.columns), canon(value.index), columns, _extras(value)
    if isinstance(value, pd.Series):
        return canon(value.name), canon(value.index), _values(value), _extras(value)
    if isinstance(value, pd.MultiIndex):
        codes = [list(map(int, codes)) for codes in value.codes]
        return list(map(canon, value.levels)), codes, list(map(canon, value.names))
    if isinstance(value, pd.Index):
        freq = getattr(value, "freq", None)
        return canon(value.name), _values(value), None if freq is None else freq.freqstr
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return _values(value)
    if isinstance(value, pd.api.extensions.ExtensionDtype | np.dtype):
        return repr(value)
    if isinstance(value, pd.Timestamp):
        return value.isoformat(), value.unit, value.fold, _zone(value.tz)
    if isinstance(value, pd.Timedelta):
        return repr(value), getattr(value, "unit", None)
    if isinstance(value, np.ndarray):
        order = value.flags.f_contiguous and not value.flags.c_contiguous
        return str(value.dtype), value.shape, order, list(map(canon, value.ravel().tolist()))
    if isinstance(value, np.generic) and not isinstance(value, str | bytes):
        return value.dtype.str, repr(value)
    return _built_in(value)


def _built_in(value: Any) -> Any:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    if isinstance(value, complex):
        return canon(value.real), canon(value.imag)
    if isinstance(value, dict):
        return [(canon(key), canon(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [canon(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(canon, value), key=repr)
    if isinstance(value, datetime | time):
        return value.replace(tzinfo=None).isoformat(), value.fold, _zone(value.tzinfo)
    if isinstance(value, tzinfo):
        return _zone(value)
    if isinstance(value, Decimal):
        return value.as_tuple()
    if isinstance(value, bytearray):
        return bytes(value)
    return repr(value) if value is None or value is pd.NA or value is pd.NaT else value


def _values(value: Any) -> Any:
    array = value.array if isinstance(value, pd.Series | pd.Index) else value
    missing = [bool(one) for one in array.isna()]
    items = [canon(one) for one in array]
    return repr(value.dtype), type(array).__qualname__, missing, items


def _extras(value: Any) -> Any:
    return canon(value.attrs), value.flags.allows_duplicate_labels


def _zone(zone: Any) -> Any:
    if isinstance(zone, timezone):
        return zone.__getinitargs__()  # type: ignore[attr-defined]
    return str(zone)


def assert_same(left: Any, right: Any) -> None:
    assert canon(left) == canon(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("1", 1),
        ((1,), [1]),
        ({1}, frozenset({1})),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1}, {1.0}),
        (b"x", bytearray(b"x")),
        (complex(0.0, 1), complex(-0.0, 1)),
        (Decimal("1.0"), Decimal("1.00")),
        (timedelta(1), timedelta(2)),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, fold=1)),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))),
        (timezone(timedelta(hours=9)), timezone(timedelta(hours=9), "KST")),
        (np.float64(1), 1.0),
        (np.int32(1), np.int64(1)),
        (np.zeros((2, 2)), np.zeros((2, 2), order="F")),
        (np.array([1], object), np.array([1.0], object)),
        (pd.Series([1, None]), pd.Series([1, None], dtype="Int64")),
        (pd.Series(["a", None], dtype="string"), pd.Series(["a", None], dtype=object)),
        (pd.Series([None], dtype=object), pd.Series([pd.NA], dtype=object)),
        (pd.Index([0, 1]), pd.RangeIndex(2)),
        (
            pd.date_range("2026", periods=3),
            pd.DatetimeIndex(list(pd.date_range("2026", periods=3))),
        ),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, index=[0])),
        (pd.Timestamp("2026"), pd.Timestamp("2026", tz="UTC")),
    ],
)
def test_tells_apart(left: Any, right: Any) -> None:
    assert_same(left, left)
    with pytest.raises(AssertionError):
        assert_same(left, right)
