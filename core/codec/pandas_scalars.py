"""pandas' scalars, offsets and time zones.

| value | `_type` | `_value` |
|---|---|---|
| Timestamp | `pandas.Timestamp` | `{"utc": ..., "unit": "ns", "tz": document, "fold": 0}` |
| Timedelta | `pandas.Timedelta` | `{"count": 5000, "unit": "ms"}` |
| NaT, NA | `pandas.NaT`, `pandas.NA` | `null` |
| Period | `pandas.Period` | `{"ordinal": 216, "freq": "QE-NOV"}` |
| Interval | `pandas.Interval` | `{"left": document, "right": document, "closed": "right"}` |
| offset | `pandas.offset` | `"W-MON"` |
| pytz zone (within the above only) | `pandas.pytz` | `"Asia/Seoul"` |

`utc` is ISO 8601 with the unit's digits (`"2026-11-22T10:42:00.000000000"`); the wall clock of a
naive Timestamp, whose `tz` is null. Offsets go by their frequency string ("offset alias"); one
whose string does not tell it all is refused.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from .dispatch import DECODERS, dec, enc
from .fault import Fault, expect, expect_keys

# Not all that NumPy reads as a datetime: it takes "now" and "today" too.
_INSTANT = re.compile(r"-?\d{4,}-\d\d-\d\dT[\d:.]{8,18}", re.ASCII)
_UNITS = ("s", "ms", "us", "ns")


def encode_zone(zone: Any, depth: int) -> Any:
    """A tzinfo as a document; pytz's too, which pandas 2 makes of a zone's name."""
    if type(zone).__module__.partition(".")[0] == "pytz":
        if zone.zone is None:
            raise Fault("use datetime.timezone for fixed offsets instead of pytz", "pytz")
        return {"_type": "pandas.pytz", "_value": zone.zone}
    return enc(zone, depth)


def decode_zone(document: Any, depth: int) -> Any:
    zone = dec(document, depth)
    if zone is not None and not isinstance(zone, tzinfo):
        raise Fault("tz must be a time zone or null")
    return zone


def _decode_pytz(body: Any, depth: int) -> Any:
    return import_module("pytz").timezone(expect(body, str, "a zone's name"))


def encode_timestamp(value: Any, depth: int) -> Any:
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
        raise Fault("utc must be like 2026-11-22T10:42:00.000")
    value = pd.Timestamp(np.datetime64(body["utc"], _unit(body["unit"])))
    zone = decode_zone(body["tz"], depth + 1)
    if zone is not None:
        value = value.tz_localize("UTC").tz_convert(zone)
    if expect(body["fold"], int, "fold") != value.fold:
        value = value.replace(fold=body["fold"])
    return _same_instant(value, body["utc"])


def _same_instant(value: Any, utc: str) -> Any:
    if str(np.datetime_as_string(value.asm8)) != utc:
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
    return {"_type": "pandas.NaT" if value is pd.NaT else "pandas.NA", "_value": None}


def _decode_nat(body: Any, depth: int) -> Any:
    expect(body, type(None), "the value of NaT")
    return pd.NaT


def _decode_na(body: Any, depth: int) -> Any:
    expect(body, type(None), "the value of NA")
    return pd.NA


def encode_period(value: Any, depth: int) -> Any:
    body = {"ordinal": value.ordinal, "freq": offset_text(value.freq)}
    return {"_type": "pandas.Period", "_value": body}


def _decode_period(body: Any, depth: int) -> Any:
    expect_keys(body, ("ordinal", "freq"))
    freq = read_offset(body["freq"])
    return pd.Period(ordinal=expect(body["ordinal"], int, "ordinal"), freq=freq)


def encode_interval(value: Any, depth: int) -> Any:
    body = {
        "left": enc(value.left, depth + 1),
        "right": enc(value.right, depth + 1),
        "closed": value.closed,
    }
    return {"_type": "pandas.Interval", "_value": body}


def _decode_interval(body: Any, depth: int) -> Any:
    expect_keys(body, ("left", "right", "closed"))
    left, right = dec(body["left"], depth + 1), dec(body["right"], depth + 1)
    return pd.Interval(left, right, closed=expect(body["closed"], str, "closed"))


def offset_text(offset: Any) -> str:
    """The frequency string of an offset. Raises Fault where it does not tell all."""
    text = offset.freqstr
    try:
        if to_offset(text) == offset:
            return text
    except ValueError:
        pass  # told below
    raise Fault(
        f"cannot store the pandas offset {text!r:.80} exactly: its frequency string does not tell"
        " it all; set freq to None",
        "pandas.offset",
    )


def read_offset(body: Any) -> Any:
    return to_offset(expect(body, str, "a frequency"))


def encode_offset(value: Any, depth: int) -> Any:
    return {"_type": "pandas.offset", "_value": offset_text(value)}


def _decode_offset(body: Any, depth: int) -> Any:
    return read_offset(body)


DECODERS["pandas.pytz"] = _decode_pytz
DECODERS["pandas.Timestamp"] = _decode_timestamp
DECODERS["pandas.Timedelta"] = _decode_timedelta
DECODERS["pandas.NaT"] = _decode_nat
DECODERS["pandas.NA"] = _decode_na
DECODERS["pandas.Period"] = _decode_period
DECODERS["pandas.Interval"] = _decode_interval
DECODERS["pandas.offset"] = _decode_offset
