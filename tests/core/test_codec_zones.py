"""The time zones of pandas' values. Those of pytz, which pandas 2 makes, are stored by name."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from tests.core.test_codec_same import assert_same
from turnlog.core.codec import CodecError, decode, dumps, encode, loads
from turnlog.core.codec.frames import pandas_zones

pytestmark = pytest.mark.slow_once

NAME = "Asia/Seoul"
try:
    import pytz
except ImportError:
    pytz = None
PANDAS_2 = pd.__version__.startswith("2.")


class Pytz(tzinfo):
    """A pytz zone, played by a class of the test's own: pandas 3 no longer installs pytz."""

    def __init__(self, zone: str | None) -> None:
        self.zone = zone

    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=9)

    def dst(self, when: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, when: datetime | None) -> str:
        return "KST"

    def __str__(self) -> str:
        return str(self.zone)


Pytz.__module__ = "pytz.tzfile"
SEOUL = Pytz(NAME)


@pytest.fixture
def _pandas_makes_pytz_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pandas_zones, "_by_name", {NAME: SEOUL}.get)


def aware(zone: Any, *texts: str | None) -> Any:
    return pd.DatetimeIndex(list(texts)).tz_localize("UTC").tz_convert(zone)


def values(times: Any) -> list[Any]:
    return [
        times,
        times[0],
        times.array,
        times.dtype,
        pd.Series(times),
        pd.Series(times, dtype=object),
        pd.DataFrame({"t": times}, index=times),
    ]


@pytest.mark.usefixtures("_pandas_makes_pytz_zones")
def test_a_zone_that_pandas_makes_of_a_name_is_stored_by_name() -> None:
    times = aware(SEOUL, "2026-01-01", None, "2026-07-01")
    assert encode(times.dtype)["_value"] == {"name": "datetime", "unit": times.unit, "tz": NAME}
    assert encode(times[0])["_value"]["tz"] == NAME
    for value in values(times):
        assert "pytz" not in dumps(value)
        assert_same(loads(dumps(value)), value)
    assert loads(dumps(times)).tz is SEOUL


def test_it_is_read_where_there_is_no_pytz(monkeypatch: pytest.MonkeyPatch) -> None:
    times = aware(SEOUL, "2026-01-01", None, "2026-07-01")
    with monkeypatch.context() as patch:
        patch.setattr(pandas_zones, "_by_name", {NAME: SEOUL}.get)
        texts = [dumps(value) for value in values(times)]
    same = aware(NAME, "2026-01-01", None, "2026-07-01")
    for text, value in zip(texts, values(same), strict=True):
        assert_same(loads(text), value)


def test_the_zones_of_this_pandas_come_back() -> None:
    for zone in (NAME, "America/New_York", "UTC", ZoneInfo(NAME)):
        times = aware(zone, "2026-01-01", None, "2026-11-01 05:30", "2026-11-01 06:30")
        again = loads(dumps(times))
        pd.testing.assert_index_equal(again, times)
        assert type(again.tz) is type(times.tz)
        assert [loads(dumps(one)) for one in times.dropna()] == list(times.dropna())
        assert dumps(again) == dumps(times)


@pytest.mark.skipif(not PANDAS_2, reason="pandas 2 makes pytz zones")
def test_pandas_2_stores_names() -> None:
    times = aware(NAME, "2026-01-01")
    assert type(times.tz).__module__.startswith("pytz")
    assert encode(times[0])["_value"]["tz"] == NAME


@pytest.mark.usefixtures("_pandas_makes_pytz_zones")
def test_a_time_that_zoneinfo_shows_otherwise_is_refused() -> None:
    """In July 1987 Seoul had daylight saving time, which the test's zone does not know."""
    times = aware(SEOUL, "2026-01-01", None, "1987-07-01")
    assert_same(loads(dumps(times[:2])), times[:2])
    for value, path in (
        (times, "$[0]"),
        (times[2], "$[0]"),
        (pd.DataFrame({"t": times}), "$[0].t"),
        (pd.Series(range(3), index=times), "$[0].index"),
    ):
        with pytest.raises(CodecError, match="tz_convert") as caught:
            encode([value])
        assert (caught.value.path, caught.value.type_name) == (path, "pytz.tzfile.Pytz")
    converted = times.tz_convert(ZoneInfo(NAME))
    assert_same(loads(dumps(converted)), converted)


@pytest.mark.skipif(not PANDAS_2, reason="pandas 2 makes pytz zones")
def test_pytz_has_no_daylight_saving_time_after_2037() -> None:
    times = aware("America/New_York", "2036-07-01", "2050-07-01")
    assert loads(dumps(times[:1])).equals(times[:1])
    with pytest.raises(CodecError, match="tz_convert"):
        encode(times)


def other_zones() -> list[Any]:
    """Zones of pytz that pandas does not make of their names."""
    zones: list[Any] = [Pytz(name) for name in (None, "Nowhere/City", "../../etc/passwd")]
    if not PANDAS_2:
        zones.append(SEOUL)
    if pytz is not None:
        zones.append(pytz.FixedOffset(90))
        zones += [] if PANDAS_2 else [pytz.timezone(NAME)]
    return zones


@pytest.mark.parametrize("zone", other_zones(), ids=str)
def test_any_other_pytz_zone_is_refused_by_name(zone: Any) -> None:
    times = aware(zone, "2026-01-01")
    for value in (times, times[0], pd.Series(times), times.dtype):
        with pytest.raises(CodecError, match=r"zoneinfo\.ZoneInfo") as caught:
            encode({"at": value})
        assert caught.value.path == "$.at"
        assert caught.value.type_name == f"{type(zone).__module__}.{type(zone).__qualname__}"


@pytest.mark.usefixtures("_pandas_makes_pytz_zones")
@pytest.mark.parametrize(
    ("value", "path"), [(SEOUL, "$[0]"), (datetime(2026, 1, 1, tzinfo=SEOUL), "$[0].tzinfo")]
)
def test_outside_pandas_a_pytz_zone_is_refused_by_name(value: Any, path: str) -> None:
    with pytest.raises(CodecError, match=r"zoneinfo\.ZoneInfo") as caught:
        encode([value])
    assert (caught.value.path, caught.value.type_name) == (path, "pytz.tzfile.Pytz")


@pytest.mark.parametrize(
    "name", ["dateutil/Asia/Seoul", "dateutil//etc/localtime", "tzlocal()", "UTC+09:00", "", "../x"]
)
def test_only_names_of_zones_are_read(name: str) -> None:
    document = encode(pd.Timestamp("2026", tz="UTC"))
    document["_value"]["tz"] = name
    with pytest.raises(CodecError):
        decode([document])
    with pytest.raises(CodecError):
        decode({"_type": "pandas.dtype", "_value": {"name": "datetime", "unit": "ns", "tz": name}})
