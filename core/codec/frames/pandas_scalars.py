"""pandas' scalars.

| value | `_type` | `_value` |
|---|---|---|
| Timestamp | `pandas.Timestamp` | `{"utc": ..., "unit": "ns", "tz": zone, "fold": 0}` |
| Timedelta | `pandas.Timedelta` | `{"count": 5000, "unit": "ms"}` |
| NaT, NA | `pandas.NaT`, `pandas.NA` | `null` |

`utc` is ISO 8601 with as many digits as the unit has (`"2026-11-22T10:42:00.000000000"`). For a
naive Timestamp, whose `tz` is null, it is the wall clock. `pandas_zones` defines `tz`.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from ..dispatch import DECODERS
from ..fault import Fault, expect, expect_keys
from .pandas_zones import check_clock, decode_zone, encode_zone

# Narrower than what NumPy reads as a datetime, which includes "now" and "today".
_INSTANT = re.compile(r"-?\d{4,}-\d\d-\d\dT[\d:.]{8,18}", re.ASCII)
_UNITS = ("s", "ms", "us", "ns")


def encode_timestamp(value: Any, depth: int) -> Any:
    check_clock(value)
    body = {
        "utc": str(np.datetime_as_string(value.asm8)),
        "unit": value.unit,
        "tz": encode_zone(value.tz, depth + 1),
        "fold": value.fold,
    }
    return {"_type": "pandas.Timestamp", "_value": body}


def _decode_timestamp(body: Any, depth: int) -> Any:
    expect_keys(body, ("utc", "unit", "tz", "fold"))
    if not _INSTANT.fullmatch(expect(body["utc"], str, "utc")):
        raise Fault("utc must look like 2026-11-22T10:42:00.000")
    value = pd.Timestamp(np.datetime64(body["utc"], _unit(body["unit"])))
    zone = decode_zone(body["tz"], depth + 1)
    if zone is not None:
        value = value.tz_localize("UTC").tz_convert(zone)
    if expect(body["fold"], int, "fold") != value.fold:
        value = value.replace(fold=body["fold"])
    if str(np.datetime_as_string(value.asm8)) != body["utc"]:
        raise Fault("utc, unit, tz and fold contradict each other")
    return value


def encode_timedelta(value: Any, depth: int) -> Any:
    body = {"count": int(value.asm8.astype("i8")), "unit": value.unit}
    return {"_type": "pandas.Timedelta", "_value": body}


def _decode_timedelta(body: Any, depth: int) -> Any:
    expect_keys(body, ("count", "unit"))
    return pd.Timedelta(np.timedelta64(expect(body["count"], int, "count"), _unit(body["unit"])))


def _unit(unit: Any) -> Any:
    if unit not in _UNITS:
        raise Fault(f"unit must be one of {', '.join(_UNITS)}")
    return unit


def encode_missing(value: Any, depth: int) -> Any:
    """The document of NaT or NA."""
    return {"_type": "pandas.NaT" if value is pd.NaT else "pandas.NA", "_value": None}


def _decode_nat(body: Any, depth: int) -> Any:
    expect(body, type(None), "the value of NaT")
    return pd.NaT


def _decode_na(body: Any, depth: int) -> Any:
    expect(body, type(None), "the value of NA")
    return pd.NA


DECODERS["pandas.Timestamp"] = _decode_timestamp
DECODERS["pandas.Timedelta"] = _decode_timedelta
DECODERS["pandas.NaT"] = _decode_nat
DECODERS["pandas.NA"] = _decode_na
