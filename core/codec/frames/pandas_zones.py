"""The time zones of pandas' values: the document of the tzinfo, or the plain name of a zone.

pandas 2 makes a pytz zone of a zone's name; pandas 3 makes a ZoneInfo and no longer installs pytz.
A document must be readable under either, so it never names pytz. If the pytz zone is the one that
pandas makes of its name, the document holds the name (`"Asia/Seoul"`), and the pandas that reads it
makes a zone of the name again. Any other pytz zone is refused.

pytz and zoneinfo can disagree about a wall clock: pytz knows no daylight saving time after 2037. A
value that would show another wall clock under pandas 3 is refused as well.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from ..dispatch import DECODERS, dec, enc
from ..fault import Fault, expect, type_name
from ..unknown import unknown_class

# Under pandas 2, an early turnlog wrote this tag wherever a zone of pytz stood.
_PYTZ = "pandas.pytz"


def encode_zone(zone: Any, depth: int) -> Any:
    """The document of a tzinfo or of None. Raises Fault if neither it nor its name is exact."""
    return _name(zone) if _is_pytz(zone) else enc(zone, depth)


def decode_zone(document: Any, depth: int) -> Any:
    """The tzinfo, or None, of a document that `encode_zone` made."""
    if type(document) is dict and document.get("_type") == _PYTZ:
        document = document.get("_value")
    if type(document) is str:
        ZoneInfo(document)  # raises unless it is a zone's name; pandas would also read file names
        return _by_name(document)
    zone = dec(document, depth)
    if zone is not None and not isinstance(zone, tzinfo):
        raise Fault("tz must be a time zone, the name of one, or null")
    return zone


def check_clock(value: Any) -> None:
    """Raise Fault if the wall clock of a Timestamp or a DatetimeArray depends on pytz."""
    if not _is_pytz(value.tz):
        return
    name = _name(value.tz)
    ours, other = value.tz_localize(None), value.tz_convert(ZoneInfo(name)).tz_localize(None)
    if not np.all((ours == other) | pd.isna(ours)):
        raise Fault(
            f"cannot store this time exactly: pytz and zoneinfo disagree about {name};"
            f" convert it first: tz_convert(zoneinfo.ZoneInfo({name!r}))",
            type_name(type(value.tz)),
        )


def _decode_pytz(body: Any, depth: int) -> Any:
    # A plain datetime with a zone of pytz would have the offset of a hundred years ago.
    return ZoneInfo(expect(body, str, "the value of a pandas.pytz"))


DECODERS[_PYTZ] = _decode_pytz


def _is_pytz(zone: Any) -> bool:
    return type(zone).__module__.partition(".")[0] == "pytz"


def _name(zone: Any) -> str:
    name = zone.zone
    if type(name) is str:  # None for an offset without a name
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            ZoneInfo(name)
            if pd.DatetimeTZDtype("ns", _by_name(name)) == pd.DatetimeTZDtype("ns", zone):
                return name
    raise unknown_class(type(zone))


def _by_name(name: str) -> Any:
    return pd.DatetimeTZDtype("ns", name).tz
