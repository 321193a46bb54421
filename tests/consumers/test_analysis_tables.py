"""Which files may be a data analyst's table, and what a hostile one can do: nothing."""

from __future__ import annotations

import gc
import io
import os
import shutil
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pyarrow import parquet

from turnlog.consumers.analysis import finding, tables
from turnlog.consumers.analysis.heads import beginning
from turnlog.consumers.analysis.reading import Bounds, read
from turnlog.core.errors import ConfigurationError, TableError
from turnlog.mixins import DataAnalysisMixin

pytestmark = pytest.mark.slow_once

SALES = pd.DataFrame({"도시": ["서울", "부산"], "매출": [3, 5]})
SMALL = Bounds(bytes=100_000, rows=1_000, columns=50, seconds=20, memory=2048)


@pytest.fixture
def base(tmp_path: Path, settings: Any) -> Path:
    settings.BASE_DIR = tmp_path
    settings.MEDIA_ROOT = str(tmp_path / "media")
    return tmp_path


WRITERS: dict[str, Callable[[Path], Any]] = {
    "utf-8.csv": lambda path: SALES.to_csv(path, index=False),
    "with-bom.csv": lambda path: SALES.to_csv(path, index=False, encoding="utf-8-sig"),
    "cp949.csv": lambda path: SALES.to_csv(path, index=False, encoding="cp949"),
    "UPPER.CSV": lambda path: SALES.to_csv(path, index=False),
    "book.xlsx": lambda path: SALES.to_excel(path, index=False),
    "columns.parquet": lambda path: SALES.to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_comes_back_from_each_kind_of_file(base: Path, name: str) -> None:
    WRITERS[name](base / name)
    pd.testing.assert_frame_equal(read(finding.found(name), SMALL), SALES, check_dtype=False)


def test_a_file_is_read_once_for_each_of_its_contents(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SALES.to_csv(base / "sales.csv", index=False, encoding="cp949")
    path = finding.found("sales.csv")
    assert tables.known(path) is None
    first = tables.of_file(path)
    assert "| 0 | 서울 | 3 |" in first.head
    assert "(2 rows, 2 columns)" in first.head
    pd.testing.assert_frame_equal(tables.frame_of(first), SALES, check_dtype=False)
    read_again: list[Path] = []
    monkeypatch.setattr(tables, "_read", read_again.append)
    assert tables.of_file(path) is tables.known(path) is first
    SALES.head(1).to_csv(base / "sales.csv", index=False)
    assert tables.known(path) is None
    assert not read_again


def test_a_bomb_goes_off_once(base: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TURNLOG = {"TABLE_ROWS": 1}
    SALES.to_csv(base / "bomb.csv", index=False)
    path = finding.found("bomb.csv")
    with pytest.raises(TableError, match=r"more than 1 rows \(TURNLOG\['TABLE_ROWS'\]\)"):
        tables.of_file(path)
    monkeypatch.delattr(tables, "_read")
    for ask in (tables.known, tables.of_file):
        with pytest.raises(TableError, match="more than 1 rows"):
            ask(path)


def test_reading_ends_where_it_takes_too_much(base: Path, settings: Any) -> None:
    """The reader dies of its own limits; the server sees a sentence."""
    settings.TURNLOG = {"SANDBOX_MEMORY": 64}
    SALES.to_csv(base / "large.csv", index=False)
    with pytest.raises(TableError, match=r"takes more memory|cannot be read"):
        tables.of_file(finding.found("large.csv"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "found none"),
        ("", "found none"),
        ("http://169.254.169.254/latest/meta.csv", "found the address"),
        ("https:/example.org/a.csv", "found the address"),
        ("file:///etc/passwd.csv", "found the address"),
        ("s3://bucket/a.parquet", "found the address"),
        ("a\0.csv", "NUL"),
        ("nowhere.csv", "found nothing at"),
        ("folder.csv", "a folder or a device"),
        ("pipe.csv", "a folder or a device"),
        ("../../outside.csv", "found nothing at|outside of BASE_DIR"),
        ("link.csv", "outside of BASE_DIR"),
        ("/etc/hostname", "to end with"),
        ("notes.txt", "to end with"),
        ("large.csv", r"at most 1,000 bytes \(TURNLOG\['TABLE_BYTES'\]\), found 2,000"),
        ("x" * 5_000 + ".csv", "found nothing at"),
    ],
)
def test_what_is_no_file_of_the_projects_is_refused_in_a_sentence(
    base: Path, settings: Any, tmp_path_factory: pytest.TempPathFactory, given: Any, words: str
) -> None:
    settings.TURNLOG = {"TABLE_BYTES": 1_000}
    outside = tmp_path_factory.mktemp("outside") / "secret.csv"
    outside.write_text("a\n1\n")
    (base / "folder.csv").mkdir()
    (base / "link.csv").symlink_to(outside)
    (base / "large.csv").write_text("a" * 2_000)
    os.mkfifo(base / "pipe.csv")
    with pytest.raises(ConfigurationError, match=words) as raised:
        finding.found(given)
    assert len(str(raised.value)) < 600
    with pytest.raises(TableError, match="outside of BASE_DIR"):
        finding.found(outside)


def test_what_people_have_uploaded_may_be_a_table(base: Path) -> None:
    (base / "media").mkdir()
    (base / "media" / "theirs.csv").write_text("a\n1\n")
    assert finding.found(base / "media" / "theirs.csv").name == "theirs.csv"


def packed(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def book(**changes: Callable[[bytes], bytes]) -> bytes:
    """A workbook, with some of its files changed."""
    file, changed = io.BytesIO(), io.BytesIO()
    SALES.rename(columns={"도시": "City"}).to_excel(file, index=False)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            short = Path(name).stem
            content = old.read(name)
            new.writestr(name, changes[short](content) if short in changes else content)
    return changed.getvalue()


ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>"""
LAUGHS = (
    b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "lol">"""
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12))
    + b"]>"
)


def with_entity(head: bytes, name: bytes) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        _, _, rest = content.partition(b"?>")
        body = rest or content
        return head + body.replace(b"City", b"&" + name + b";", 1)

    return change


def parquet_bomb() -> bytes:
    file = io.BytesIO()
    column = pa.array(["x" * 1_000] * 100_000).dictionary_encode()
    parquet.write_table(pa.table({"a": column}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("wide.csv", lambda: ("a," * 10**6).encode() + b"b\n1\n", "more than 50 columns"),
        ("tall.csv", lambda: b"a\n" + b"1\n" * 1_001, "more than 1,000 rows"),
        ("ragged.csv", lambda: b"a\n1\n1,2,3,4\n", ""),
        ("levels.csv", lambda: b"a\n" + b"1," * 5_000 + b"1\n", "more cells than its first row"),
        ("moved.csv", lambda: b"a,b\n1,2,3\n", "more cells than its first row"),
        ("semicolons.csv", lambda: b"a;" * 100 + b"b\n1\n", "more than 50 columns"),
        ("empty.csv", lambda: b"", ""),
        ("bytes.csv", lambda: bytes(range(256)) * 3, "neither UTF-8 nor CP949"),
        ("no-book.xlsx", lambda: b"PK\3\4 not a zip", "no .xlsx file"),
        ("other.xlsx", lambda: packed(a=b"a"), ""),
        ("bomb.xlsx", lambda: packed(a=bytes(10_000_000)), "becomes too large"),
        ("parts.xlsx", lambda: packed(**{str(n): b"" for n in range(5_001)}), "becomes too large"),
        ("old.xls", lambda: b"\xd0\xcf\x11\xe0", "needs xlrd"),
        ("no.parquet", lambda: b"PAR1PAR1", ""),
        ("tall.parquet", parquet_bomb, "more than 1,000 rows"),
        ("xxe.xlsx", lambda: book(sheet1=with_entity(ENTITIES, b"e")), "read workbook"),
        ("lol.xlsx", lambda: book(sheet1=with_entity(LAUGHS, b"m")), "read workbook"),
    ],
)
def test_a_hostile_file_is_refused(
    base: Path, name: str, content: Callable[[], bytes], words: str
) -> None:
    """As the process that reads it says; that it has no limits here makes no difference."""
    (base / name).write_bytes(content())
    with pytest.raises(Exception, match=words or "^") as raised:
        read(base / name, SMALL)
    assert "root:" not in str(raised.value)


class Odd:
    def __str__(self) -> str:
        raise KeyError("odd")


def test_columns_of_several_kinds_and_twice_the_same_name() -> None:
    mixed = pd.DataFrame({"a": [1, "x", None], 5: [b"b", 2.5, "c"]})
    again = tables.frame_of(tables.of_frame(mixed))
    assert list(again["a"])[:2] == ["1", "x"]
    precise = pd.DataFrame({"a": np.array([1], dtype=np.longdouble)})
    assert list(tables.frame_of(tables.of_frame(precise))["a"]) == ["1.0"]
    odd = pd.DataFrame({"a": [Odd(), 1]})
    assert list(tables.frame_of(tables.of_frame(odd))["a"]) == ["<Odd>", "1"]
    twice = pd.DataFrame([[1, 2]], columns=["n", "n"])
    with pytest.raises(TableError, match="several columns named 'n'"):
        tables.of_frame(twice)
    with pytest.raises(TableError, match="expected get_dataframe"):
        tables.of_frame([1])


def test_what_a_project_gives_is_bounded_too(settings: Any) -> None:
    settings.TURNLOG = {"TABLE_COLUMNS": 1}
    for wide in (SALES, SALES.set_index(["도시", "매출"]).assign(n=1)):
        with pytest.raises(TableError, match="more than 1 columns"):
            tables.of_frame(wide)


def test_an_equal_table_is_the_same_file() -> None:
    first, again = tables.of_frame(SALES), tables.of_frame(SALES.copy())
    assert first is again
    assert first.is_there


def test_only_so_many_tables_are_kept_and_those_that_are_used() -> None:
    used = tables.of_frame(pd.DataFrame({"a": ["used"]}))
    others = [
        tables.of_frame(pd.DataFrame({"a": [number]})).table.path.exists for number in range(70)
    ]
    gc.collect()
    assert sum(exists() for exists in others) == 64
    assert used.is_there
    is_there = used.table.path.exists
    del used
    gc.collect()
    assert not is_there()


def test_a_table_that_several_ask_for_at_once_is_read_once(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SALES.to_csv(base / "sales.csv", index=False)
    path, real = finding.found("sales.csv"), tables._read
    read_from: list[Path] = []
    monkeypatch.setattr(tables, "_read", lambda path: read_from.append(path) or real(path))
    together = threading.Barrier(4)

    def ask(_: int) -> tables.Prepared:
        together.wait()
        return tables.of_file(path)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert read_from == [path]
    assert all(each is found[0] for each in found)
    assert found[0].is_there


@pytest.mark.parametrize("left", ["nothing", "another folder"])
def test_a_cleaner_of_temporary_files_may_take_the_folder(
    base: Path, tmp_path_factory: pytest.TempPathFactory, left: str
) -> None:
    SALES.to_csv(base / "sales.csv", index=False)
    path, other = finding.found("sales.csv"), pd.DataFrame({"a": [left]})
    first = tables.of_file(path)
    tables.of_frame(other)
    folder = first.table.path.parent
    shutil.rmtree(folder)
    if left == "another folder":  # Anybody may make one in a folder that all write to.
        folder.symlink_to(tmp_path_factory.mktemp("theirs"))
    assert tables.known(path) is None
    chat = DataAnalysisMixin(dataframe_path="sales.csv")
    pd.testing.assert_frame_equal(chat.get_dataframe(), SALES, check_dtype=False)
    for again in (tables.of_file(path), tables.of_frame(other)):
        assert again.is_there
        assert again.table.path.parent != folder


DIES = "import os, signal; os.kill(os.getpid(), signal.{})"
COMPUTES = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from turnlog.consumers.analysis import reading;"
    " reading._limit(reading.Bounds(10**6, 1, 1, 1, 2048))\nwhile True: pass"
)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (DIES.format("SIGKILL"), r"its reader has ended \(-9\)"),
        (DIES.format("SIGTERM"), r"its reader has ended \(-15\)"),
        ("raise SystemExit(1)", r"its reader has ended \(1\)"),
        ("disk", "No space left"),
        ("command", "nothing could read it"),
    ],
)
def test_a_failure_that_passes_is_not_remembered(
    base: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    SALES.to_csv(base / "sales.csv", index=False)
    path = finding.found("sales.csv")
    with monkeypatch.context() as broken:
        if program == "disk":
            (base / "full.arrow").symlink_to("/dev/full")
            broken.setattr(tables, "_new_file", lambda: base / "full.arrow")
        elif program == "command":
            broken.setattr("sys.executable", str(base / "no-python"))
        else:
            broken.setattr(tables, "_PROGRAM", program)
        with pytest.raises(TableError, match=f"{words}.*; the next question tries again"):
            tables.of_file(path)
    assert tables.known(path) is None
    assert tables.of_file(path).is_there


@pytest.mark.parametrize(
    ("program", "words"),
    [(COMPUTES, r"longer than 60 seconds"), (DIES.format("SIGSEGV"), "takes more memory")],
)
def test_what_a_file_makes_of_its_reader_is_remembered(
    base: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    SALES.to_csv(base / "sales.csv", index=False)
    monkeypatch.setattr(tables, "_PROGRAM", program)
    path = finding.found("sales.csv")
    for ask in (tables.of_file, tables.known):
        with pytest.raises(TableError, match=words):
            ask(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2,\n3,4,\n", {"a": [1, 3], "b": [2, 4]}),
        ("도시;매출\n서울;1,5\n", {"도시": ["서울"], "매출": ["1,5"]}),
        ("a\tb\n1\tx;y,z\n", {"a": [1], "b": ["x;y,z"]}),
        ("\n a|b\n1|2\n", {" a": [1], "b": [2]}),
        ('"a;b",c\n1;2,3\n', {"a;b": ["1;2"], "c": [3]}),
        ('"a;b"\n1;2\n', {"a;b": ["1;2"]}),
        ("id\n12345678901234567890123\n1\n", {"id": ["12345678901234567890123", "1"]}),
    ],
)
def test_a_csv_is_read_as_it_is_meant(base: Path, content: str, expected: dict[str, Any]) -> None:
    (base / "some.csv").write_text(content)
    found = tables.frame_of(tables.of_file(finding.found("some.csv")))
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected), check_dtype=False)


CUT = pd.cut([1, 5, 99], [0, 3, 6])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2**70, 5], ["1180591620717411303424", "5"]),
        ([Decimal("1.1"), Decimal("Infinity")], ["1.1", "Infinity"]),
        (CUT, ["(0, 3]", "(3, 6]", None]),
        (pd.Categorical([1, "a"]), ["1", "a"]),
        (pd.interval_range(0, 1), list(pd.interval_range(0, 1))),
        (pd.period_range("2024-01", periods=1, freq="M"), [pd.Period("2024-01")]),
        (np.array([1 + 2j]), ["(1+2j)"]),
        ([1, "x"], ["1", "x"]),
    ],
)
def test_values_without_a_type_are_text_in_columns_and_in_the_index(
    values: Any, expected: list[Any]
) -> None:
    frame = pd.DataFrame({"a": values, 3: range(len(values))})
    frames = [
        frame,
        frame.set_axis(pd.Index(values, name=7), axis="index"),
        frame.set_axis(pd.MultiIndex.from_arrays([[0] * len(values), values]), axis="index"),
    ]
    for each in frames:
        found = tables.frame_of(tables.of_frame(each))
        assert list(found.columns) == ["a", "3"]
        labels = found.index.get_level_values(-1)
        for kept in (found["a"], labels) if each is not frame else (found["a"],):
            assert [None if pd.isna(value) else value for value in kept] == expected


def test_what_cannot_be_kept_is_refused_in_a_sentence() -> None:
    sparse = pd.DataFrame({"n": pd.arrays.SparseArray([0, 1])})
    with pytest.raises(TableError, match=r"its column 'n' holds Sparse\[int64, 0\] values"):
        tables.of_frame(sparse)


cells = st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.just("| a\n| b |"))


@examples(max_examples=40)
@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=8), st.text())
def test_no_cell_breaks_out_of_its_row(rows: list[list[Any]], name: str) -> None:
    table = pd.DataFrame(rows, columns=[name, "b", "c"] if name not in "bc" else ["a", "b", "c"])
    lines = beginning(table, 5).split("\n")
    assert len(lines) == 2 + min(5, len(rows)) + 2
    for line in lines[:-2]:
        assert line.replace("\\|", "").count("|") == 5
        line.encode()


@examples(max_examples=15)
@given(st.integers(0, 200), st.integers(0, 5_000))
def test_the_beginning_is_short_however_large_the_table(width: int, length: int) -> None:
    table = pd.DataFrame({f"{n}{'x' * length}": ["y" * length] * 3 for n in range(width)})
    assert len(beginning(table)) < 12_000
