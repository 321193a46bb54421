"""Dates, times and time zones.

| value | `_type` | `_value` |
|---|---|---|
| date | `date` | `"2026-11-22"` |
| datetime, time: naive or at an offset | `datetime`, `time` | `"2026-11-22T19:42:00+09:00"` |
| the same with another zone, or fold=1 | the same | `{"wall": ..., "tz": document, "fold": 0}` |
| timedelta | `timedelta` | `[days, seconds, microseconds]` |
| datetime.timezone | `timezone` | its offset's three, and its name where it has one |
| ZoneInfo | `ZoneInfo` | `"Asia/Seoul"`, a key of the IANA time zone database |

Text is ISO 8601, as Python's `isoformat` writes it. The codec keeps a zone's name, not its rules:
the wall clock stays exact permanently, and the instant follows corrections of the database.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from .dispatch import DECODERS, ENCODERS, dec, enc
from .fault import Fault, expect, expect_keys

Clock = TypeVar("Clock", datetime, time)


def _encode_date(value: date, depth: int) -> Any:
    return {"_type": "date", "_value": value.isoformat()}


def _decode_date(body: Any, depth: int) -> date:
    return date.fromisoformat(expect(body, str, "the value of a date"))


def _encode_clock(value: Any, depth: int) -> Any:
    tag, zone = type(value).__name__, value.tzinfo
    if not value.fold and (zone is None or _is_plain_offset(zone)):
        return {"_type": tag, "_value": value.isoformat()}
    try:
        tz = enc(zone, depth + 1)
    except Fault as fault:
        fault.at_key("tzinfo")
        raise
    # Without the zone, because isoformat would write the zone's offset after the wall clock.
    wall = value.replace(tzinfo=None, fold=0).isoformat()
    return {"_type": tag, "_value": {"wall": wall, "tz": tz, "fold": value.fold}}


def _decode_clock(cls: type[Clock], body: Any, depth: int) -> Clock:
    if type(body) is str:
        return cls.fromisoformat(body)
    expect_keys(body, ("wall", "tz", "fold"))
    value = cls.fromisoformat(expect(body["wall"], str, "wall"))
    if value.tzinfo is not None or expect(body["fold"], int, "fold") not in (0, 1):
        raise Fault("wall must have no offset, and fold must be 0 or 1")
    zone = dec(body["tz"], depth + 1)
    if zone is not None and not isinstance(zone, tzinfo):
        raise Fault("tz must be a time zone or null")
    return value.replace(tzinfo=zone, fold=body["fold"])


def _decode_datetime(body: Any, depth: int) -> datetime:
    return _decode_clock(datetime, body, depth)


def _decode_time(body: Any, depth: int) -> time:
    return _decode_clock(time, body, depth)


def _encode_timedelta(value: timedelta, depth: int) -> Any:
    return {"_type": "timedelta", "_value": _parts(value)}


def _decode_timedelta(body: Any, depth: int) -> timedelta:
    if type(body) is not list or len(body) != 3:
        raise Fault("a timedelta must be [days, seconds, microseconds]")
    days, seconds, microseconds = (expect(part, int, "a timedelta's part") for part in body)
    return timedelta(days, seconds, microseconds)


def _parts(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _arguments(value: timezone) -> tuple[Any, ...]:
    # The state for pickle, (offset,) or (offset, name). tzname() would invent a name for (offset,).
    arguments: tuple[Any, ...] = value.__getinitargs__()  # type: ignore[attr-defined]  # not public
    return arguments


def _is_plain_offset(zone: tzinfo) -> bool:
    """Whether the zone is an offset that ISO 8601 text keeps exactly."""
    if type(zone) is not timezone:
        return False
    # No microseconds: CPython 3.11 reads +00:00:00.000001 as UTC.
    arguments = _arguments(zone)
    return len(arguments) == 1 and arguments[0].microseconds == 0


def _encode_timezone(value: timezone, depth: int) -> Any:
    offset, *name = _arguments(value)
    return {"_type": "timezone", "_value": [*_parts(offset), *(enc(part, depth) for part in name)]}


def _decode_timezone(body: Any, depth: int) -> timezone:
    if type(body) is not list or len(body) not in (3, 4):
        raise Fault("a timezone must be [days, seconds, microseconds], with an optional name")
    offset = _decode_timedelta(body[:3], depth)
    if len(body) == 3:
        return timezone(offset)
    return timezone(offset, expect(dec(body[3], depth), str, "a timezone's name"))


def _encode_zoneinfo(value: ZoneInfo, depth: int) -> Any:
    if value.key is None:
        raise Fault("cannot store a ZoneInfo without a key; use ZoneInfo(key)", "ZoneInfo")
    return {"_type": "ZoneInfo", "_value": value.key}


def _decode_zoneinfo(body: Any, depth: int) -> ZoneInfo:
    return ZoneInfo(expect(body, str, "the value of a ZoneInfo"))


ENCODERS[date] = _encode_date
ENCODERS[datetime] = ENCODERS[time] = _encode_clock
ENCODERS[timedelta] = _encode_timedelta
ENCODERS[timezone] = _encode_timezone
ENCODERS[ZoneInfo] = _encode_zoneinfo

DECODERS["date"] = _decode_date
DECODERS["datetime"] = _decode_datetime
DECODERS["time"] = _decode_time
DECODERS["timedelta"] = _decode_timedelta
DECODERS["timezone"] = _decode_timezone
DECODERS["ZoneInfo"] = _decode_zoneinfo
