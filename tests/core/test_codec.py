"""The codec's laws over built-in values, and the text it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.test_codec_same import assert_same
from turnlog.core.codec import MAX_DEPTH, CodecError, decode, dumps, encode, loads, to_json

pytestmark = pytest.mark.slow_once

characters = st.one_of(
    st.characters(),
    st.characters(categories=["Cs"]),
    st.sampled_from("\0\u2028\ufffe_type한글\ud83d\ude00\\ud"),
)
text = st.text(characters, max_size=12)
offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23))
zones = st.one_of(
    st.none(),
    st.just(UTC),
    st.builds(timezone, offsets),
    st.builds(timezone, offsets, text),
    st.sampled_from(["Asia/Seoul", "America/New_York", "UTC"]).map(ZoneInfo),
)
fold = st.sampled_from([0, 1])
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(1990, 2010).map(lambda bits: 1 << bits),
    st.floats(),
    st.complex_numbers(allow_nan=True),
    text,
    st.binary(max_size=9),
    st.decimals(),
    st.uuids(),
    st.dates(),
    st.builds(lambda at, tz, f: at.replace(tzinfo=tz, fold=f), st.datetimes(), zones, fold),
    st.builds(lambda at, tz, f: at.replace(tzinfo=tz, fold=f), st.times(), zones, fold),
    st.timedeltas(),
    zones,
)
hashable = st.recursive(
    leaves.filter(lambda leaf: not (isinstance(leaf, Decimal) and leaf.is_snan())),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(["_type", "_value", "a", "한"]) | text
values = st.recursive(
    leaves | st.binary(max_size=3).map(bytearray),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(hashable, inner, max_size=3),
        st.sets(hashable, max_size=3),
    ),
    max_leaves=12,
)


@given(values)
@example({"_type": "bytes", "_value": "AA=="})
@example({"_type": {"_type": {}}})
@example("\ud83d\ude00")
@example({"\ud83d\ude00": ["\ud83d", "\ude00", "😀", "\\ud83d\ude00"]})
@example({float("nan"): 1, 0: -0.0, None: 1e16, (): 1e22, True: 5e-324})
@example({float("nan"): 1, float("nan"): 2})
@example([1 << 100_000, -(1 << 2000), 10**602])
@example({"a": {1, "a", (2,), frozenset({"b", None})}})
@example(datetime(2026, 11, 1, 1, 30, fold=1, tzinfo=ZoneInfo("America/New_York")))
@example(datetime(2026, 1, 1, tzinfo=timezone(timedelta(microseconds=1))))
@example(time(1, 2, 3, 4, tzinfo=timezone(timedelta(seconds=1, microseconds=1), "\ud83d\ude00")))
@example([Decimal("NaN123"), Decimal("-sNaN"), Decimal("-0E+5"), Decimal("-Infinity")])
def test_what_comes_back_is_the_same(value: Any) -> None:
    document = encode(value)
    assert_same(decode(document), value)
    assert_same(loads(dumps(value)), value)


@given(values)
@example(["\ud83d", "\ude00", "\0", "\udfff"])
def test_text_is_strict_json_that_any_database_takes(value: Any) -> None:
    written = dumps(value)
    assert b"\0" not in written.encode("utf-8")
    document = json.loads(written, parse_constant=pytest.fail)
    assert document == encode(value)
    assert dumps(loads(written)) == written


@given(values)
def test_a_document_shares_nothing_with_its_value(value: Any) -> None:
    document = encode(value)
    before = to_json(document)
    decoded = decode(document)
    if isinstance(decoded, list | set | dict | bytearray):
        decoded.clear()
    assert to_json(document) == before


@pytest.mark.parametrize(
    ("value", "document"),
    [
        (None, None),
        ({"a": [1, 2.5, "한글", True]}, {"a": [1, 2.5, "한글", True]}),
        ({1: "a"}, {"_type": "dict", "_value": [[1, "a"]]}),
        ({"_type": 1}, {"_type": "dict", "_value": [["_type", 1]]}),
        ({"_value": 1}, {"_value": 1}),
        ((1, (2,)), {"_type": "tuple", "_value": [1, {"_type": "tuple", "_value": [2]}]}),
        ({10, 9, "a"}, {"_type": "set", "_value": ["a", 10, 9]}),
        (frozenset(), {"_type": "frozenset", "_value": []}),
        ("a\ud83d\ude00b", {"_type": "str", "_value": ["a\ud83d", "\ude00b"]}),
        (1 << 2000, {"_type": "int", "_value": "0x1" + "0" * 500}),
        (float("-inf"), {"_type": "float", "_value": "-inf"}),
        (1 - 0j, {"_type": "complex", "_value": [1.0, 0.0]}),
        (b"\0\xff", {"_type": "bytes", "_value": "AP8="}),
        (bytearray(b"a"), {"_type": "bytearray", "_value": "YQ=="}),
        (Decimal("1.50"), {"_type": "Decimal", "_value": "1.50"}),
        (
            UUID("7c97e77c-847b-4ec9-a874-03317f4f7712"),
            {"_type": "UUID", "_value": "7c97e77c-847b-4ec9-a874-03317f4f7712"},
        ),
        (date(2026, 11, 22), {"_type": "date", "_value": "2026-11-22"}),
        (time(9, 30), {"_type": "time", "_value": "09:30:00"}),
        (
            datetime(2026, 11, 22, 19, 42, tzinfo=timezone(timedelta(hours=9))),
            {"_type": "datetime", "_value": "2026-11-22T19:42:00+09:00"},
        ),
        (
            datetime(2026, 11, 22, tzinfo=ZoneInfo("Asia/Seoul")),
            {
                "_type": "datetime",
                "_value": {
                    "wall": "2026-11-22T00:00:00",
                    "tz": {"_type": "ZoneInfo", "_value": "Asia/Seoul"},
                    "fold": 0,
                },
            },
        ),
        (timedelta(-1, 5), {"_type": "timedelta", "_value": [-1, 5, 0]}),
        (
            timezone(timedelta(hours=9), "KST"),
            {"_type": "timezone", "_value": [0, 32400, 0, "KST"]},
        ),
    ],
)
def test_documents_look_like_this(value: Any, document: Any) -> None:
    """These stand in people's databases: a change here makes their history unreadable."""
    assert encode(value) == document
    assert_same(decode(document), value)


def test_text_stays_readable() -> None:
    assert dumps({"q": "안녕 \0 \ud800 \u2028"}) == '{"q":"안녕 \\u0000 \\ud800 \u2028"}'


def test_equal_sets_give_equal_bytes_in_every_process() -> None:
    code = (
        "from turnlog.core.codec import dumps;"
        "print(dumps({str(n) for n in range(50)} | {(1, 'a'), None, 2.5}))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(runs) == 1


class Text(str):
    pass


class Number(int):
    pass


class Mapping(dict):
    pass


@pytest.mark.parametrize(
    ("value", "path", "type_name"),
    [
        (object(), "$", "object"),
        ({"steps": [{"observation": object()}]}, "$.steps[0].observation", "object"),
        ({"a b": {"_type": [1, ({2: object()},)]}}, '$["a b"]._type[1][0][2]', "object"),
        ([1, Text("a")], "$[1]", f"{__name__}.Text"),
        ({Text("a"): 1}, "$[<" + f"{__name__}.Text" + ">]", f"{__name__}.Text"),
        (Number(1), "$", f"{__name__}.Number"),
        (Mapping(), "$", f"{__name__}.Mapping"),
        ((x for x in "a"), "$", "generator"),
        (len, "$", "builtin_function_or_method"),
        (int, "$", "type"),
        (ValueError("x"), "$", "ValueError"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_an_unknown_type_is_refused_with_its_name_and_place(
    value: Any, path: str, type_name: str
) -> None:
    with pytest.raises(CodecError) as caught:
        dumps(value)
    assert caught.value.path == path
    assert caught.value.type_name == type_name
    assert type_name in str(caught.value)
    assert path in str(caught.value)


def nested(levels: int, wrap: Any) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap",
    [lambda v: [v], lambda v: {"k": v}, lambda v: (v,), lambda v: {1: v}, lambda v: {"_type": v}],
    ids=["list", "dict", "tuple", "dict with int keys", "dict with _type"],
)
def test_nesting_has_one_limit_both_ways(wrap: Any) -> None:
    deepest = nested(MAX_DEPTH, wrap)
    assert loads(dumps(deepest)) == deepest
    for levels in (MAX_DEPTH + 2, 900):
        with pytest.raises(CodecError, match="nest"):
            dumps(nested(levels, wrap))


def test_what_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append({"again": value})
    with pytest.raises(CodecError, match="contains itself"):
        encode(value)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 2, 100_000])
def test_deep_text_is_refused(levels: int) -> None:
    for opening, closing in (("[", "]"), ('{"_type":"tuple","_value":[', "]}")):
        with pytest.raises(CodecError, match="nest"):
            loads(opening * levels + closing * levels)


def test_little_stack_left_is_no_other_error() -> None:
    deepest = nested(MAX_DEPTH, lambda v: [v])

    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        else:
            encode(deepest)

    with pytest.raises(CodecError, match="nest"):
        descend(sys.getrecursionlimit() - 250)


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e999",
        "[1,]",
        "'a'",
        "\ufeff1",
        "9" * 5000,
        "\0",
    ],
)
def test_text_that_is_not_strict_json_is_refused(broken: str) -> None:
    with pytest.raises(CodecError):
        loads(broken)


@pytest.mark.parametrize("broken", [b"1", None, 1])
def test_only_text_is_loaded(broken: Any) -> None:
    with pytest.raises(CodecError):
        loads(broken)


@pytest.mark.parametrize("broken", [float("nan"), {1, 2}, object(), {"a": b""}, "\ud83d\ude00"])
def test_to_json_takes_documents_only(broken: Any) -> None:
    with pytest.raises(CodecError):
        to_json(broken)
