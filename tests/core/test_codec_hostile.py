"""Documents that the codec did not write: they decode, or CodecError says where they are wrong."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, ToolMessage

from turnlog.core.codec import CodecError, decode, dumps, encode, loads, register
from turnlog.core.codec.dispatch import DECODERS

pytestmark = pytest.mark.slow_once

# Each tag with a document that is right, to be damaged in one place.
SOUND: list[Any] = [
    encode(value)
    for value in (
        {"_type": (1, {2, "a"}), 5: frozenset({b"x"})},
        ["\ud83d\ude00", 1 << 3000, float("nan"), 1j, bytearray(b"a")],
        datetime(2026, 1, 1, tzinfo=ZoneInfo("Asia/Seoul")),
        np.array([[1, 2], [3, 4]], dtype=">i4", order="F"),
        np.array(["a", "한"]),
        np.array([None, (1, 2)], dtype=object),
        np.float32(1.5),
        np.datetime64("2026-01-01", "ns"),
        pd.DataFrame(
            {
                "i": [1, 2],
                "s": ["a", None],
                "c": pd.Categorical(["a", "b"]),
                "n": pd.array([1, None], dtype="Int8"),
                "z": pd.date_range("2026", periods=2, tz="Asia/Seoul"),
                "o": [{}, ()],
            },
            index=pd.date_range("2026", periods=2, freq="D", name="when"),
        ),
        pd.Series([1, 2], index=pd.MultiIndex.from_product([["a"], [1, 2]]), name=("x", 1)),
        [pd.Timestamp("2026", tz="UTC"), pd.Timedelta(1), pd.NaT, pd.NA],
        pd.DataFrame({"a": [1]}).dtypes,
        AIMessage("hi", tool_calls=[{"name": "t", "args": {}, "id": "1"}]),
        ToolMessage("ok", tool_call_id="1", artifact=(1, 2)),
    )
]

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3) | st.just(10**10) | st.just(10**30),
    st.floats(),
    st.sampled_from(["", "a", "AAAA", "<f8", "|O", "2026-01-01", "nan", "0x1", "\0", "int64", "D"]),
)
tags = st.sampled_from([*sorted(DECODERS), "os.system", ""])
names = st.sampled_from(
    [
        "_type",
        "_value",
        "dtype",
        "shape",
        "order",
        "data",
        "items",
        "name",
        "names",
        "levels",
        "codes",
        "values",
        "mask",
        "index",
        "columns",
        "start",
        "stop",
        "step",
        "content",
        "type",
        "tz",
        "wall",
        "fold",
        "class",
        "member",
        "fields",
    ]
)
jsons = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(names, inner, max_size=4),
        st.fixed_dictionaries({"_type": tags, "_value": inner}),
    ),
    max_leaves=15,
)


def decodes_or_codec_error(document: Any) -> None:
    try:
        value = decode(document)
    except CodecError:
        return
    try:
        again = dumps(value)
    except CodecError:
        return
    assert dumps(loads(again)) == again


@settings(max_examples=400)
@given(jsons)
def test_any_json_decodes_or_is_refused(document: Any) -> None:
    decodes_or_codec_error(document)


@settings(max_examples=400)
@given(st.sampled_from(SOUND), st.data())
def test_a_damaged_document_decodes_or_is_refused(sound: Any, data: st.DataObject) -> None:
    document = json.loads(json.dumps(sound))
    places = list(_places(document))
    holder, key = data.draw(st.sampled_from(places))
    change = data.draw(st.sampled_from(["replace", "remove", "swap"]))
    if change == "replace":
        holder[key] = data.draw(jsons)
    elif change == "remove":
        del holder[key]
    else:
        other, other_key = data.draw(st.sampled_from(places))
        holder[key] = json.loads(json.dumps(other[other_key]))
    decodes_or_codec_error(document)


def _places(document: Any) -> Any:
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, item in items:
        yield document, key
        if isinstance(item, dict | list):
            yield from _places(item)


def tagged(tag: str, value: Any) -> dict[str, Any]:
    return {"_type": tag, "_value": value}


@pytest.mark.parametrize(
    "document",
    [
        {"_type": "tuple"},
        {"_type": "tuple", "_value": [], "more": 1},
        {"_type": ["tuple"], "_value": []},
        {"_type": None, "_value": []},
        tagged("tuple", {}),
        tagged("set", [1, 1.0]),
        tagged("set", [[]]),
        tagged("dict", [[1, 2], [1.0, 3]]),
        tagged("dict", [[1]]),
        tagged("dict", [[[], 1]]),
        tagged("dict", {"a": 1}),
        tagged("bytes", "A"),
        tagged("bytes", "AA=A"),
        tagged("bytes", "한"),
        tagged("bytes", [1]),
        tagged("int", "5"),
        tagged("int", 5),
        tagged("int", "0x1_0"),
        tagged("float", "1.5"),
        tagged("float", ["nan"]),
        tagged("complex", [1, 2.0]),
        tagged("Decimal", "one"),
        tagged("Decimal", 1),
        tagged("UUID", "x"),
        tagged("date", "2026-02-30"),
        tagged("datetime", "now"),
        tagged("datetime", {"wall": "2026-01-01T00:00:00+09:00", "tz": None, "fold": 0}),
        tagged("datetime", {"wall": "2026-01-01T00:00:00", "tz": "Asia/Seoul", "fold": 0}),
        tagged("datetime", {"wall": "2026-01-01T00:00:00", "tz": None, "fold": True}),
        tagged("timedelta", [10**20, 0, 0]),
        tagged("timedelta", [True, 0, 0]),
        tagged("timezone", [1, 0, 0]),
        tagged("ZoneInfo", "../../etc/passwd"),
        tagged("ZoneInfo", "Nowhere/City"),
        tagged("enum", {"class": "builtins.int", "member": "real"}),
        tagged("dataclass", {"class": "os.stat_result", "fields": {}}),
        tagged("numpy.ndarray", {"dtype": "|O", "shape": [1], "order": "C", "data": "AAAA"}),
        tagged("numpy.ndarray", {"dtype": "<f8", "shape": [10**12], "order": "C", "data": ""}),
        tagged("numpy.ndarray", {"dtype": "<f8", "shape": [-1], "order": "C", "data": ""}),
        tagged("numpy.ndarray", {"dtype": "|i1", "shape": [1], "order": "C", "data": "AQI="}),
        tagged("numpy.ndarray", {"dtype": "f8,f8", "shape": [], "order": "C", "data": ""}),
        tagged("numpy.ndarray", {"dtype": "|b1", "shape": [1], "order": "C", "data": "Ag=="}),
        tagged("numpy.ndarray", {"dtype": "<U1", "shape": [1], "order": "C", "data": "/////w=="}),
        tagged("numpy.ndarray", {"dtype": "<f16", "shape": [0], "order": "C", "data": ""}),
        tagged("numpy.ndarray", {"dtype": "|V3", "shape": [0], "order": "C", "data": ""}),
        tagged("numpy.ndarray", {"dtype": [["a", "<f8"]], "shape": [0], "order": "C", "data": ""}),
        tagged("numpy.dtype", {"name": "StringDType", "coerce": True}),
        tagged("numpy.scalar", {"dtype": "|i1", "value": 300}),
        tagged("numpy.scalar", {"dtype": "<i8", "value": True}),
        tagged("pandas.NaT", 0),
        tagged("pandas.dtype", {"name": "period", "freq": "M"}),
        tagged("pandas.dtype", {"name": "interval", "subtype": None, "closed": "right"}),
        tagged("pandas.array", {"dtype": {"name": "period", "freq": "M"}, "ordinals": []}),
        tagged("pandas.Timestamp", {"utc": "now", "unit": "ns", "tz": None, "fold": 0}),
        tagged("HumanMessage", {}),
        tagged("HumanMessage", {"content": 5}),
        tagged("HumanMessage", {"content": [5]}),
        tagged("HumanMessage", {"content": "x", "type": "ai"}),
        tagged("AIMessage", {"content": "x", "tool_calls": [1]}),
        tagged("AIMessage", {"content": "x", "additional_kwargs": None}),
        tagged("AgentStep", {"action": "x", "observation": 1}),
        tagged("AgentAction", {"tool": "t", "tool_input": "", "log": "", "more": 1}),
        tagged("AddableDict", [1]),
        tagged("TextAccessor", 1),
    ],
    ids=lambda document: json.dumps(document, ensure_ascii=True)[:70],
)
def test_malformed_documents_are_refused(document: Any) -> None:
    with pytest.raises(CodecError) as caught:
        decode({"turn": [document]})
    assert caught.value.path.startswith("$.turn[0]")


@pytest.mark.parametrize(
    "tag",
    [
        "os.system",
        "pickle",
        "builtins.eval",
        "numpy.load",
        "pandas.x",
        "pandas.Period",
        "pandas.Interval",
        "pandas.offset",
    ],
)
def test_an_unknown_tag_is_refused_with_its_place(tag: str) -> None:
    with pytest.raises(CodecError, match="unknown _type") as caught:
        decode({"steps": [1, {"observation": tagged(tag, ["true"])}]})
    assert caught.value.path == "$.steps[1].observation"
    assert caught.value.type_name == tag


@pytest.mark.parametrize("value", [(1,), {1}, b"", object(), {1: 2}, float("inf")])
def test_only_json_is_decoded(value: Any) -> None:
    with pytest.raises(CodecError):
        decode([value])


def test_the_tables_hold_no_way_to_import() -> None:
    """A class that data names is one that somebody registered, whatever can be imported."""
    with pytest.raises(CodecError, match="register"):
        decode(tagged("dataclass", {"class": "subprocess.Popen", "fields": {"args": "true"}}))
    assert register.__module__ == "turnlog.core.codec.registered"


def test_sparse_claims_cost_nothing() -> None:
    """What a document claims to be large is refused before anything is allocated for it."""
    endless = tagged("pandas.RangeIndex", {"start": 0, "stop": 10**12, "step": 1, "name": None})
    one = encode(np.array([5]))
    spread = tagged("pandas.Series", {"index": endless, "name": None, "data": encode(np.array(5))})
    short = tagged("pandas.Series", {"index": endless, "name": None, "data": one})
    empty = {"dtype": "<U0", "shape": [10**12], "order": "C", "data": ""}
    wide = tagged("pandas.Index", {"values": tagged("numpy.ndarray", empty), "name": None})
    body = {"levels": [endless], "codes": [one], "names": [None], "sortorder": None}
    with pytest.raises(CodecError, match="1000000000000 entries"):
        decode(short)
    for document in (spread, wide, tagged("pandas.MultiIndex", body)):
        with pytest.raises(CodecError) as caught:
            decode(document)
        assert not isinstance(caught.value.__cause__, MemoryError)
