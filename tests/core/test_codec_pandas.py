"""DataFrames and all that is in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from tests.core.test_codec_same import assert_same
from turnlog.core.codec import CodecError, dumps, encode, loads

pytestmark = pytest.mark.slow_once

SEOUL = "Asia/Seoul"
KST = timezone(timedelta(hours=9), "KST")

INDEXES = [
    pd.RangeIndex(3),
    pd.RangeIndex(1, 9, 3, name="r"),
    pd.RangeIndex(3, 0, -1),
    pd.Index([3, 1, 3], dtype="uint8"),
    pd.Index([1.5, np.nan, -0.0]),
    pd.Index([True, False, True]),
    pd.Index([1j, 2, 3]),
    pd.Index(["a", "b", "a"], name="한글"),
    pd.Index(["a", None, "c"], dtype="string"),
    pd.Index(["a", None, 1], dtype=object, name=("x", 1)),
    pd.Index([(1, 2), (3, 4), (5, 6)], tupleize_cols=False),
    pd.Index([1, None, 3], dtype="Int64"),
    pd.date_range("2026-01-01", periods=3, freq="D"),
    pd.date_range("2026-01-01", periods=3, freq="ME", tz=SEOUL, name="day"),
    pd.date_range("2026-11-01", periods=3, freq="h", tz="America/New_York"),
    pd.DatetimeIndex(["2026-01-01", "NaT", "2020-01-01"], tz=UTC),
    pd.DatetimeIndex(np.array(["2026", "2027", "9999"], "M8[s]")),
    pd.timedelta_range("1h", periods=3, freq="h"),
    pd.TimedeltaIndex(["1s", "NaT", "3s"]),
    pd.CategoricalIndex(["a", "b", "a"], categories=["b", "a", "z"], ordered=True, name="c"),
    pd.CategoricalIndex([2, 1, None]),
    pd.MultiIndex.from_product([["a"], pd.date_range("2026", periods=3)], names=["x", None]),
    pd.MultiIndex.from_arrays([[1, None, 2, 7], ["x", "y", "z", "unused"]])[[0, 1, 0]],
]
COLUMNS: dict[Any, Any] = {
    "int": [1, 2, 3],
    "float": [1.5, np.nan, -0.0],
    "float32": np.array([1, 2, 3], "f4"),
    "bool": [True, False, True],
    "complex": [1j, 2, 3],
    "str": ["x", None, "한글"],
    "string": pd.array(["a", None, "\0"], dtype="string"),
    "python": pd.array(["a", None, "\ud800"], dtype=pd.StringDtype("python", na_value=np.nan)),
    "object": [None, {"a": (1,)}, "x"],
    "texts": pd.Series(["a", "b", "c"], dtype=object),
    "missing": pd.Series([np.nan, None, pd.NA], dtype=object),
    "times": pd.Series([pd.Timestamp("2026"), pd.NaT, datetime(2026, 1, 1)], dtype=object),
    "datetime": pd.to_datetime(["2026-01-01", None, "2027-01-01"]),
    "zoned": pd.to_datetime(["2026-01-01", None, "2027-01-01"]).tz_localize(SEOUL),
    "named zone": pd.to_datetime(["2026-01-01", None, "2027-01-01"]).tz_localize(KST),
    "seconds": np.array(["2026", "NaT", "9999"], "M8[s]"),
    "timedelta": pd.to_timedelta([1, None, 3], unit="s"),
    "Int8": pd.array([1, None, 3], dtype="Int8"),
    "UInt64": pd.array([2**64 - 1, None, 3], dtype="UInt64"),
    "Float32": pd.array([0.5, None, -0.0], dtype="Float32"),
    "nan and NA": pd.arrays.FloatingArray(
        np.array([np.nan, 1.0, 2.0]), np.array([False, False, True])
    ),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "category": pd.Categorical(["a", None, "b"]),
    "ordered": pd.Categorical([1, 2, 1], categories=[3, 2, 1], ordered=True),
    ("tuple", 1): [1, 2, 3],
    5: [1, 2, 3],
}
FRAME = pd.DataFrame(COLUMNS)


def same_frame(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert_frame_equal(
        left,
        right,
        check_exact=True,
        check_column_type=True,
        check_index_type=True,
        check_freq=True,
        check_flags=True,
    )
    assert (left.dtypes == right.dtypes).all()
    assert_same(left, right)


def round_trip(value: Any) -> Any:
    text = dumps(value)
    again = loads(text)
    assert dumps(again) == text
    return again


@pytest.mark.parametrize("index", INDEXES, ids=repr)
def test_indexes(index: Any) -> None:
    again = round_trip(index)
    assert_index_equal(again, index, exact=True, check_exact=True)
    assert_same(again, index)
    assert getattr(again, "freq", None) == getattr(index, "freq", None)


@pytest.mark.parametrize("label", COLUMNS, ids=str)
def test_columns(label: Any) -> None:
    series = FRAME[label]
    assert_series_equal(round_trip(series), series, check_exact=True, check_index_type=True)
    assert_same(round_trip(series), series)
    assert_same(round_trip(series.array), series.array)
    assert_same(round_trip(series.iloc[:0]), series.iloc[:0])
    assert_same(round_trip(series.dtype), series.dtype)


@pytest.mark.parametrize("index", INDEXES, ids=repr)
def test_frames_with_every_index_on_either_side(index: Any) -> None:
    frame = FRAME.set_axis(index, axis=0)
    same_frame(round_trip(frame), frame)
    across = FRAME.iloc[:, :3].set_axis(index, axis=1)
    same_frame(round_trip(across), across)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame(index=INDEXES[12]),
        pd.DataFrame(columns=INDEXES[-1]),
        FRAME.iloc[:0],
        FRAME.iloc[:, :0],
        FRAME[["int", "int"]],
        FRAME.iloc[::2],
        FRAME[["int", "float"]].T,
        FRAME[["int", "object"]].T,
        pd.DataFrame(np.arange(400).reshape(2, 200)),
        pd.DataFrame({"nested": [FRAME[["int"]], FRAME["str"]]}),
    ],
    ids=lambda frame: str(frame.shape),
)
def test_odd_frames(frame: Any) -> None:
    again = round_trip(frame)
    if "nested" not in frame:
        same_frame(again, frame)
    assert_same(again, frame)


def test_attrs_and_flags() -> None:
    frame = FRAME[["int"]].copy()
    frame.attrs = {"source": ("sales.csv", 3), 5: pd.Timestamp("2026")}
    frame.flags.allows_duplicate_labels = False
    again = round_trip(frame)
    same_frame(again, frame)
    assert again.attrs == frame.attrs
    assert not again.flags.allows_duplicate_labels
    assert_same(round_trip(frame["int"]), frame["int"])
    assert "attrs" not in encode(FRAME)["_value"]


def test_describing_a_frame_is_data_too() -> None:
    """What an analyst's tool often gives back: dtypes, and a summary."""
    assert_same(round_trip(FRAME.dtypes), FRAME.dtypes)
    summary = FRAME[["int", "float", "str"]].describe(include="all")
    same_frame(round_trip(summary), summary)
    groups = FRAME.groupby("int")["float"].agg(["mean", "count"])
    same_frame(round_trip(groups), groups)


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp("2026-01-01 12:00:00.123456789"),
        pd.Timestamp("2026", tz=SEOUL),
        pd.Timestamp("2026", tz=KST),
        pd.Timestamp(datetime(2026, 1, 1, fold=1)),
        pd.Timestamp(1793511000, unit="s", tz="UTC").tz_convert("America/New_York"),
        pd.Timestamp(1793514600, unit="s", tz="UTC").tz_convert("America/New_York"),
        pd.Timestamp(np.datetime64("9999-12-31", "s")),
        pd.Timestamp.min,
        pd.Timestamp.max,
        pd.Timedelta("-1 days 00:00:00.000000001"),
        pd.Timedelta(np.timedelta64(5, "s")),
        pd.Timedelta.max,
        pd.NaT,
        pd.NA,
        pd.CategoricalDtype(),
        pd.CategoricalDtype(["b", "a"], ordered=True),
        pd.DatetimeTZDtype("us", SEOUL),
    ],
    ids=repr,
)
def test_scalars(value: Any) -> None:
    assert_same(round_trip(value), value)
    assert_same(round_trip([value, {"k": value}]), [value, {"k": value}])


def test_missing_values_are_the_very_ones() -> None:
    assert loads(dumps(pd.NaT)) is pd.NaT
    assert loads(dumps(pd.NA)) is pd.NA


cells = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.text(),
    st.just(pd.NA),
    st.just(pd.NaT),
    st.tuples(st.integers()),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
)
typed_columns = st.integers(0, 5).flatmap(
    lambda rows: st.lists(
        st.one_of(
            st.lists(cells, min_size=rows, max_size=rows).map(lambda c: pd.Series(c, dtype=object)),
            st.lists(st.floats(), min_size=rows, max_size=rows).map(pd.Series),
            st.lists(st.none() | st.integers(-128, 127), min_size=rows, max_size=rows).map(
                lambda c: pd.Series(c, dtype="Int8")
            ),
            st.lists(st.none() | st.text(), min_size=rows, max_size=rows).map(
                lambda c: pd.Series(c, dtype=pd.StringDtype("python"))
            ),
            st.lists(st.sampled_from("abc"), min_size=rows, max_size=rows).map(
                lambda c: pd.Series(c, dtype="category")
            ),
        ),
        max_size=4,
    )
)


@settings(max_examples=80)
@given(typed_columns, st.lists(st.text() | st.integers(), min_size=4, max_size=4))
def test_any_frame_comes_back(columns: list[Any], labels: list[Any]) -> None:
    frame = pd.DataFrame(dict(enumerate(columns)))
    frame.columns = pd.Index(labels[: len(columns)], dtype=object)
    same_frame(round_trip(frame), frame)


def test_text_of_a_column_can_be_searched_in_the_log() -> None:
    assert '"한글"' in dumps(FRAME)


def test_documents_look_like_this() -> None:
    frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int8")}, index=pd.Index(["x", "y"]))
    index = encode(frame)["_value"]["index"]
    assert encode(frame) == {
        "_type": "pandas.DataFrame",
        "_value": {
            "index": index,
            "columns": encode(pd.Index(["a"])),
            "data": [
                {
                    "_type": "pandas.array",
                    "_value": {
                        "dtype": {"name": "Int8"},
                        "values": encode(np.array([1, 0], "i1")),
                        "mask": encode(np.array([False, True])),
                    },
                }
            ],
        },
    }
    assert encode(pd.Index(["x", None], dtype="string", name="n")) == {
        "_type": "pandas.Index",
        "_value": {
            "values": {
                "_type": "pandas.array",
                "_value": {
                    "dtype": {
                        "name": "string",
                        "storage": pd.StringDtype().storage,
                        "na_value": {"_type": "pandas.NA", "_value": None},
                    },
                    "items": ["x", None],
                },
            },
            "name": "n",
        },
    }
    assert encode(pd.RangeIndex(3)) == {
        "_type": "pandas.RangeIndex",
        "_value": {"start": 0, "stop": 3, "step": 1, "name": None},
    }
    assert encode(pd.Timestamp("2026-01-01", tz=KST).as_unit("ms"))["_value"] == {
        "utc": "2025-12-31T15:00:00.000",
        "unit": "ms",
        "tz": {"_type": "timezone", "_value": [0, 32400, 0, "KST"]},
        "fold": 0,
    }


class Mine(pd.DataFrame):
    pass


HOLIDAYS = pd.offsets.CustomBusinessDay(holidays=["2026-01-01"])


@pytest.mark.parametrize(
    "value",
    [
        Mine({"a": [1]}),
        pd.Series(pd.arrays.SparseArray([0, 1])),
        pd.date_range("2026-01-05", periods=3, freq=HOLIDAYS),
        FRAME.groupby("int"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_kept_exactly_is_refused(value: Any) -> None:
    with pytest.raises(CodecError):
        encode(value)


def test_an_unknown_cell_is_refused_with_its_place() -> None:
    frame = pd.DataFrame({"a": [1, 2], "the b": [1, object()]})
    with pytest.raises(CodecError) as caught:
        encode({"result": frame})
    assert caught.value.path == '$.result["the b"][1]'
    assert caught.value.type_name == "object"
    frame.attrs["x"] = object()
    with pytest.raises(CodecError, match=r"\$\.attrs\.x"):
        encode(frame[["a"]])


def test_an_unknown_label_is_refused_with_its_place() -> None:
    labels = pd.Index(["x", object()], dtype=object)
    for frame, path in (
        (pd.DataFrame({"a": [1, 2]}, index=labels), "$[0].index[1]"),
        (pd.DataFrame([[1, 2]], columns=labels), "$[0].columns[1]"),
        (pd.Series([1, 2], index=labels), "$[0].index[1]"),
        (pd.Series([1], name=object()), "$[0].name"),
        (labels, "$[0][1]"),
    ):
        with pytest.raises(CodecError) as caught:
            encode([frame])
        assert (caught.value.path, caught.value.type_name) == (path, "object")


PERIODS = pd.period_range("2026", periods=2, freq="M")
INTERVALS = pd.interval_range(0, 2)


@pytest.mark.parametrize(
    ("value", "path", "name"),
    [
        (pd.Period("2026Q1", freq="Q-NOV"), "", "Period"),
        (PERIODS, "", "PeriodIndex"),
        (PERIODS.array, "", "PeriodDtype"),
        (PERIODS.dtype, "", "PeriodDtype"),
        (pd.Series(PERIODS), "", "PeriodDtype"),
        (pd.DataFrame({"p": PERIODS}), ".p", "PeriodDtype"),
        (pd.DataFrame({"p": PERIODS.astype(object)}), ".p[0]", "Period"),
        (pd.DataFrame({"a": [1, 2]}, index=PERIODS), ".index", "PeriodIndex"),
        (pd.DataFrame([[1, 2]], columns=PERIODS), ".columns", "PeriodIndex"),
        (pd.MultiIndex.from_arrays([PERIODS, [1, 2]]), "[0]", "PeriodIndex"),
        (pd.Interval(1, 2), "", "Interval"),
        (INTERVALS, "", "IntervalIndex"),
        (INTERVALS.array, "", "IntervalDtype"),
        (INTERVALS.dtype, "", "IntervalDtype"),
        (pd.Series(INTERVALS), "", "IntervalDtype"),
        (pd.DataFrame({"v": INTERVALS}), ".v", "IntervalDtype"),
        (pd.DataFrame({"c": pd.cut([1, 2], [0, 1, 2])}), ".c", "IntervalIndex"),
        (pd.DateOffset(months=1), "", "DateOffset"),
        (pd.offsets.Week(weekday=0), "", "Week"),
        (pd.offsets.Minute(15), "", "Minute"),
        (HOLIDAYS, "", "CustomBusinessDay"),
        (pd.Series([1], name=pd.offsets.MonthEnd()), ".name", "MonthEnd"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_what_no_tool_gives_is_refused_by_name(value: Any, path: str, name: str) -> None:
    with pytest.raises(CodecError, match="exactly") as caught:
        encode({"result": [value]})
    assert caught.value.path == f"$.result[0]{path}"
    # The module between them differs between versions of pandas.
    assert caught.value.type_name.startswith("pandas.")
    assert caught.value.type_name.endswith(f".{name}")
    assert caught.value.type_name in str(caught.value)
