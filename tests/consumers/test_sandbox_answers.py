"""What a worker says is read as what a stranger says; and what is well said is kept."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import math
import os
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.consumers.sandbox import pictures
from turnlog.consumers.sandbox.answers import cuts_of, text_of, value_of
from turnlog.consumers.sandbox.inside import figures, tables
from turnlog.consumers.sandbox.inside.documents import Writer
from turnlog.consumers.sandbox.pipe import Broken, Late, Pipe

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.slow_once

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(st.characters(), max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(scalars, inner, max_size=4),
    max_leaves=20,
)


def there_and_back(document: Any) -> Any:
    return value_of(json.loads(json.dumps(document, allow_nan=False)), 1_000)


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


@given(values)
def test_plain_values_come_back_as_they_are(value: Any) -> None:
    writer = Writer(10_000, 10_000)
    assert same(there_and_back(writer.document(value)), value)
    assert not writer.is_cut


@given(values, st.integers(0, 5), st.integers(0, 5))
def test_what_is_cut_says_so(value: Any, items: int, letters: int) -> None:
    writer = Writer(items, letters)
    if not same(there_and_back(writer.document(value)), value):
        assert writer.is_cut


COLUMNS = {
    "int64": [0, -1, 2**63 - 1],
    "uint64": [0, 1, 2**64 - 1],
    "float64": [0.5, math.nan, math.inf],
    "bool": [True, False, True],
    "Int64": [1, None, -3],
    "boolean": [True, None, False],
    "str": ["가", "<b>", None],
    "object": ["a", 1, None],
    "datetime64[us]": ["2026-01-01", None, "9999-12-31"],
    "datetime64[ns, Asia/Seoul]": ["2026-01-01", None, "2026-11-29T13:00"],
    "timedelta64[s]": [1, None, 3],
}


@pytest.mark.parametrize("dtype", COLUMNS)
def test_columns_keep_their_types(dtype: str) -> None:
    column = pd.Series(COLUMNS[dtype], dtype=dtype, name="열", index=pd.Index([5, 6, 7], name="i"))
    frame = column.to_frame()
    found = there_and_back({"table": tables.table_of(frame, 10, Writer(100, 100))})
    pd.testing.assert_frame_equal(found, frame)
    found = there_and_back({"series": tables.series_of(column, 10, Writer(100, 100))})
    pd.testing.assert_series_equal(found, column)


def test_headers_and_indexes_of_several_levels_come_back() -> None:
    frame = pd.DataFrame({"a": [1, 1, 2], "b": ["x", "y", "x"], "n": [1.0, 2.0, 3.0]})
    wide = frame.pivot_table(index=["a", "b"], values=["n"], aggfunc=["mean", "max"])
    found = there_and_back({"table": tables.table_of(wide, 10, Writer(100, 100))})
    pd.testing.assert_frame_equal(found, wide, check_index_type=False, check_column_type=False)


def cells(column: Any) -> list[Any]:
    """A column as it comes back, each cell as text."""
    found = there_and_back({"series": tables.series_of(column, 10, Writer(100, 100))})
    return ["" if cell is None or cell is pd.NA else str(cell) for cell in found.tolist()]


DAYS = pd.Series(pd.to_datetime(["2026-01-01", "2026-02-01"]))
ORDINARY = {
    "groups with a gap": (lambda: pd.cut(pd.Series([1, 9, 5]), [0, 3, 6], labels=[1, 2]), "1,,2"),
    "days as groups, with a gap": (
        lambda: pd.Series(pd.Categorical([DAYS[0], None])),
        "2026-01-01 00:00:00,NaT",
    ),
    "groups of which only one is there": (
        lambda: pd.Series(pd.Categorical(["b", None], categories=["a", "b"])),
        "b,nan",
    ),
    "truths with a gap": (lambda: pd.Series(pd.Categorical([True, None])), "True,"),
    "sparse integers": (lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1])), "0,0,1"),
    "sparse truths": (lambda: pd.Series(pd.arrays.SparseArray([False, True])), "False,True"),
    "long floats": (lambda: pd.Series(np.array([1, 2.5], dtype=np.longdouble)), "1.0,2.5"),
    "periods": (lambda: DAYS.dt.to_period("M"), "2026-01,2026-02"),
    "intervals": (lambda: pd.cut(pd.Series([1, 9]), [0, 3, 10]).astype(object), "(0, 3],(3, 10]"),
    "spans in objects": (
        lambda: pd.Series([pd.Timedelta(days=3)], dtype=object),
        "3 days 00:00:00",
    ),
    "a date that its zone moves out of range": (
        lambda: (
            pd.to_datetime(pd.Series(["9999-12-31T23:59:59Z"]))
            .dt.tz_convert("Asia/Seoul")
            .astype(object)
        ),
        "9999-12-31T23:59:59.000000Z",
    ),
}


@pytest.mark.parametrize("what", ORDINARY)
def test_columns_of_ordinary_analyses_come_back(what: str) -> None:
    make, shown = ORDINARY[what]
    assert ",".join(cells(make())) == shown


def test_dates_of_arrow_come_back() -> None:
    pa = pytest.importorskip("pyarrow")
    dates = pd.Series([dt.date(2026, 1, 1), None], dtype=pd.ArrowDtype(pa.date32()))
    assert cells(dates) == ["2026-01-01", "<NA>"]


VALUES = {
    "days": (DAYS.to_numpy("datetime64[D]"), ["2026-01-01", "2026-02-01"]),
    "nanoseconds": (DAYS.to_numpy("M8[ns]"), ["2026-01-01T00:00:00", "2026-02-01T00:00:00"]),
    "in rows": (np.array([["2026-01-01", "NaT"]], "M8[ns]"), [["2026-01-01T00:00:00", None]]),
    "one": (np.datetime64("2026-01-01T00:00:00.000000001", "ns"), "2026-01-01T00:00:00.000000001"),
    "none": (np.datetime64("NaT", "ns"), None),
    "spans": ((DAYS - DAYS[0]).to_numpy("m8[ns]"), ["0:00:00", "31 days, 0:00:00"]),
    "a span": (pd.Timedelta(days=3), "3 days 00:00:00"),
    "a period": (pd.Period("2026-01", "M"), "2026-01"),
    "a long float": (np.longdouble(2.5), 2.5),
    "long floats": (np.array([2.5], dtype=np.longdouble), [2.5]),
    "an index": (pd.DatetimeIndex(DAYS), ["2026-01-01T00:00:00", "2026-02-01T00:00:00"]),
}


@pytest.mark.parametrize("what", VALUES)
def test_values_of_numpy_and_pandas_are_never_mere_numbers_of_ticks(what: str) -> None:
    value, shown = VALUES[what]
    assert there_and_back(Writer(100, 100).document(value)) == shown


def test_what_a_cell_holds_is_text() -> None:
    class Hostile:
        def __repr__(self) -> str:
            return "\x1b[2J<script>"

    frame = pd.DataFrame({"a": [Hostile(), [1, 2], {"b": Hostile()}]})
    frame.attrs["hidden"] = "words"
    found = there_and_back({"table": tables.table_of(frame, 10, Writer(100, 100))})
    assert found.attrs == {}
    assert found.a.tolist()[:2] == ["\x1b[2J<script>", "[1, 2]"]


def zoned(zone: str) -> Any:
    """A series with a time zone, as a worker says it."""
    column = {"kind": "time", "unit": "s", "zone": zone, "values": [0]}
    index = {"kind": "int", "values": [0]}
    content = {"column": column, "index": [index], "index_names": [None], "name": None}
    return value_of({"series": content}, 1)


@pytest.mark.parametrize("zone", ["dateutil//etc/passwd", "dateutil/Asia/Seoul"])
def test_no_file_of_the_workers_choice_is_opened(zone: str) -> None:
    """pandas would open it: it has dateutil look for what follows."""
    with pytest.raises(Broken, match="time zone"):
        zoned(zone)


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("Asia/Seoul", 9), ("UTC+05:00", 5), ("No/Where", 0), ("Asia", 0), ("//etc/passwd", 0)],
)
def test_a_zone_is_a_name_or_an_offset_and_the_moment_stays(zone: str, shown: int) -> None:
    [moment] = zoned(zone)
    assert (moment.timestamp(), moment.hour) == (0, shown)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
kinds = st.sampled_from([*("bool", "int", "float", "text", "time", "span", "mixed", "other")])
columns = st.fixed_dictionaries(
    {"kind": kinds, "values": st.lists(json_values, max_size=3) | json_values},
    optional={"unit": st.sampled_from(["s", "ns", "Y", 1]), "zone": st.text(max_size=3)},
)
crafted = st.fixed_dictionaries(
    {
        "index": st.lists(columns, max_size=2),
        "index_names": st.lists(json_values, max_size=2),
        "labels": st.lists(columns, max_size=2),
        "names": st.lists(json_values, max_size=2),
        "columns": st.lists(columns, max_size=3),
        "column": columns,
        "name": json_values,
    }
)


@given(
    json_values
    | st.dictionaries(st.sampled_from(["float", "dict", "table", "series", "x"]), json_values)
    | st.builds(lambda kind, it: {kind: it}, st.sampled_from(["table", "series"]), crafted)
)
def test_a_crafted_answer_is_a_value_or_broken(document: Any) -> None:
    with contextlib.suppress(Broken):
        value_of(document, 10)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"printed": 1},
        {"printed": "x" * 11},
        {"cut": "all"},
        {"cut": ["x"]},
        {"cut": ["value"] * 4},
    ],
)
def test_a_crafted_message_is_broken(message: dict[str, Any]) -> None:
    with pytest.raises(Broken):
        text_of(message, "printed", 10)
    with pytest.raises(Broken):
        cuts_of(message)


def column(length: int) -> dict[str, Any]:
    return {"kind": "int", "values": [0] * length}


def table(columns: int = 1, rows: int = 1, levels: int = 1, labels: int = 1) -> dict[str, Any]:
    """A table of zeros, as a worker says it."""
    return {
        "index": [column(rows)] * levels,
        "index_names": [None] * levels,
        "labels": [column(columns)] * labels,
        "names": [None] * labels,
        "columns": [column(rows)] * columns,
    }


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"table": table(columns=201)}, "201 columns"),
        ({"table": table(rows=101)}, "101 rows"),
        ({"table": table(levels=201)}, "201 columns"),
        ({"table": table(labels=201)}, "201 columns"),
        ({"table": {**table(), "labels": [column(201)]}}, "201 columns"),
        ({"series": {**table(), "column": column(101), "name": None}}, "101 rows"),
        ([[0] * 15_000, {"dict": [["a", [0] * 5_000]]}], "20,000 values"),
        # All of them have one hash.
        ({"dict": [[n * (2**61 - 1), 0] for n in range(2, 70)]}, "share one hash"),
    ],
)
def test_more_than_a_worker_may_send_is_broken_before_anything_is_made_of_it(
    document: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert value_of({"table": table(columns=200, rows=100)}, 100).shape == (100, 200)
    monkeypatch.setattr(pd, "Series", None)
    with pytest.raises(Broken, match=words):
        value_of(document, 100)


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png(width: int, height: int, pixels: bytes, *more: bytes) -> bytes:
    parts = [header(width, height), *more, chunk(b"IDAT", zlib.compress(pixels))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def test_of_a_picture_only_the_pixels_stay() -> None:
    hidden = chunk(b"tEXt", b"Comment\0<script>alert(1)</script>")
    found = pictures.checked(png(1, 1, b"\0\x01\x02\x03", hidden) + b"<script>alert(1)</script>")
    assert b"script" not in found
    with Image.open(io.BytesIO(found)) as picture:
        assert picture.getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        png(1, 1, b"\0\x01\x02\x03")[:-20],
        png(60_000, 60_000, b""),
        png(0, 0, b""),
        png(2000, 2000, b"\0" * 10),
        png(1, 1, b"\0\x01\x02\x03", chunk(b"iCCP", b"x\0\0" + b"y" * 10)),
        png(1, 1, b"\0\x01\x02\x03", chunk(b"zTXt", b"x\0\0" + zlib.compress(b"a" * 10**8))),
        png(1, 1, b"\0\x01\x02\x03")[:-12] + chunk(b"iCCP", b"a\0") + chunk(b"IEND", b""),
    ],
    ids=[
        "empty",
        "beginning",
        "svg",
        "gif",
        "end missing",
        "bomb",
        "no size",
        "few",
        "icc",
        "text",
        "late icc",
    ],
)
def test_a_picture_that_is_none_is_broken_or_harmless(content: bytes) -> None:
    try:
        found = pictures.checked(content)
    except Broken:
        return
    assert len(found) < 100_000


def test_a_second_header_does_not_make_a_picture_larger() -> None:
    with pytest.raises(Broken, match="5000 x 4000 pixels"):
        pictures.checked(png(1, 1, (b"\0" + bytes(15_000)) * 4000, header(5000, 4000)))


def test_the_pixels_of_all_pictures_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 7)
    one = png(2, 2, (b"\0" + bytes(6)) * 2)
    assert len(pictures.all_checked([one])) == 1
    with pytest.raises(Broken, match="2 x 2 pixels, where 3 are the most"):
        pictures.all_checked([one, one])


def test_a_worker_sends_no_more_pixels_than_are_taken() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")

    def drawn(count: int, pixels: int) -> figures.Drawn:
        plt.close("all")
        for _ in range(count):
            plt.figure(figsize=(1, 1)).text(0, 0, "x")
        return figures.drawn({"charts": 3, "chart": 10**6, "pixels": pixels})

    one = drawn(1, 10**6).pixels
    found = drawn(3, 2 * one)
    assert (len(found.pictures), found.is_cut) == (2, True)
    assert (found := drawn(2, 2 * one)).pixels == 2 * one
    assert not found.is_cut


def test_a_picture_that_grows_as_it_is_written_again_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = bytes(range(256)) * 12
    file = io.BytesIO()
    Image.frombytes("L", (64, 48), noise).save(file, "PNG")
    monkeypatch.setattr(pictures, "LARGEST_CHART", len(file.getvalue()) // 2)
    with pytest.raises(Broken, match="bytes"):
        pictures.checked(file.getvalue())


def talk(*pieces: bytes) -> Pipe:
    """A pipe to a worker that has said this much, and has not ended."""
    out, worker = os.pipe()
    _, into = os.pipe()
    for piece in pieces:
        os.write(worker, piece)
    return Pipe(into, out)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", Late),
        (b"\0\0", Late),
        (b"\0\0\0\x05{}", Late),
        (b"\xff\xff\xff\xff", Broken),
        (b"\0\0\0\x02{}", Broken),
        (b"\0\0\0\x02[]", Broken),
        (b"\0\0\0\x03\xff\xff\xff", Broken),
        (b'\0\0\0\x0c{"parts": 1}', Broken),
        (b'\0\0\0\x11{"parts": [1, 2]}', Broken),
        (b'\0\0\0\x0e{"parts": [1]}\0\0\0\x09', Broken),
        (b'\0\0\0\x1a{"parts": [], "value":NaN}', Broken),
        (b"\0\0\x10\0" + b"[" * 4096, Broken),
        (b"\0\0\x13\x88" + b"1" * 5000, Broken),
    ],
)
def test_what_is_no_message_is_broken_or_late(said: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        talk(said).receive(time.monotonic(), longest=10_000, parts=1, longest_part=8)


def test_a_worker_that_does_not_read_is_late() -> None:
    pipe = talk()
    with pytest.raises(Late):
        pipe.send({}, time.monotonic(), [b"x" * 2**20])
