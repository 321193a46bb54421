"""NumPy arrays and scalars."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.core.test_codec_same import assert_same
from turnlog.core.codec import CodecError, dumps, encode, loads

pytestmark = pytest.mark.slow_once

RECORD = np.dtype([("a", "i1"), ("b", "f8")])
Text = np.dtypes.StringDType

ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(9)[::2],
    np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    np.array(5),
    np.empty((0, 3), "f4"),
    np.array([True, False]),
    np.array([1, 2], ">i4"),
    np.array([0.0, -0.0, np.nan, np.inf], "f2"),
    np.array([1 + 2j, np.nan], "c8"),
    np.array(["a", "한글\0b", "😀", ""]),
    np.array(["", ""], "U0"),
    np.array([b"x\0y"]),
    np.array(["2026-11-22", "NaT"], "M8[ns]"),
    np.array([1, 2], "m8[25s]"),
    np.array(None, object),
    np.empty((0,), object),
    np.array([[1, None], ["x", (2, [3])]], object, order="F"),
]
SCALARS = [
    *(np.dtype(char).type(1) for char in "?bBhHiIlLefd"),
    np.uint64(2**64 - 1),
    np.float32(0.1),
    np.float64(-0.0),
    np.float64("nan"),
    np.float16("-inf"),
    np.complex64(1 - 0j),
    np.str_("a\0"),
    np.str_("\ud83d\ude00"),
    np.bytes_(b"a\0"),
    np.datetime64("2026-11-22T10:42", "us"),
    np.datetime64("NaT", "s"),
    np.timedelta64(3, "h"),
    np.dtype("<f8"),
    np.dtype(object),
]


@pytest.mark.parametrize("value", ARRAYS + SCALARS, ids=lambda v: f"{type(v).__name__} {v!s:.20}")
def test_what_comes_back_is_the_same(value: Any) -> None:
    again = loads(dumps(value))
    assert_same(again, value)
    assert dumps(again) == dumps(value)
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        assert again.tobytes() == value.tobytes()


dtypes = st.one_of(npst.scalar_dtypes(), npst.unicode_string_dtypes(), npst.byte_string_dtypes())


@given(st.data())
def test_any_array_comes_back(data: st.DataObject) -> None:
    dtype = data.draw(dtypes)
    array = data.draw(npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0, max_side=3)))
    again = loads(dumps(array))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()
    assert again.flags.writeable
    if array.ndim == 0:
        scalar = loads(dumps(array[()]))
        assert type(scalar) is np.dtype(dtype.str).type
        assert np.asarray(scalar).tobytes() == np.asarray(array[()]).tobytes()


@given(npst.arrays("f8", 3, elements=st.floats(allow_subnormal=True)))
def test_nan_payloads_are_kept(array: Any) -> None:
    array.view("u8")[0] = 0x7FF800000000BEEF
    assert loads(dumps(array)).tobytes() == array.tobytes()
    assert np.asarray(loads(dumps(array[0]))).tobytes() == array[:1].tobytes()


@pytest.mark.parametrize("array", [ARRAYS[0], ARRAYS[1], ARRAYS[13]])
def test_the_data_is_that_of_a_npy_file(array: Any) -> None:
    """As documented: NEP 1's header as JSON, and its body."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    body = json.loads(dumps(array))["_value"]
    assert file.getvalue().endswith(base64.b64decode(body["data"]))
    read = np.frombuffer(base64.b64decode(body["data"]), body["dtype"])
    np.testing.assert_array_equal(read.reshape(body["shape"], order=body["order"]), array)


def test_documents_look_like_this() -> None:
    assert encode(np.array([1], "<i2")) == {
        "_type": "numpy.ndarray",
        "_value": {"dtype": "<i2", "shape": [1], "order": "C", "data": "AQA="},
    }
    assert encode(np.array(["a", (1,)], object)) == {
        "_type": "numpy.ndarray",
        "_value": {
            "dtype": "|O",
            "shape": [2],
            "order": "C",
            "items": ["a", {"_type": "tuple", "_value": [1]}],
        },
    }
    assert encode(np.int64(5)) == {"_type": "numpy.scalar", "_value": {"dtype": "<i8", "value": 5}}
    assert encode(np.str_("a")) == {"_type": "numpy.str_", "_value": "a"}


class Mine(np.ndarray):
    pass


@pytest.mark.parametrize(
    "value",
    [
        np.ma.array([1], mask=[True]),
        np.rec.array([(1,)], dtype=[("a", "i4")]),
        np.zeros(1).view(Mine),
        np.dtype(("i4", (2,))),
        np.add,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_array_is_refused(value: Any) -> None:
    with pytest.raises(CodecError):
        encode(value)


def test_an_unknown_item_is_refused_with_its_place() -> None:
    with pytest.raises(CodecError) as caught:
        encode({"result": np.array([1, object()], object)})
    assert caught.value.path == "$.result[1]"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (np.zeros(1, RECORD), "numpy.dtype"),
        (np.zeros(1, []), "numpy.dtype"),
        (np.array([(1, None)], [("a", "i4"), ("b", "O")]), "numpy.dtype"),
        (RECORD, "numpy.dtype"),
        (np.zeros(2, "V3"), "numpy.dtype"),
        (np.array(["x"], Text()), "numpy.dtype"),
        (Text(na_object=None), "numpy.dtype"),
        (np.zeros(1, RECORD)[0], "numpy.void"),
        (np.void(b"abc"), "numpy.void"),
    ],
    ids=lambda value: f"{type(value).__name__} {value!s:.20}",
)
def test_what_no_tool_gives_is_refused_by_name(value: Any, name: str) -> None:
    with pytest.raises(CodecError, match="exactly") as caught:
        encode({"result": [value]})
    assert caught.value.path == "$.result[0]"
    assert caught.value.type_name == name
    shown = str(value.dtype) if isinstance(value, np.ndarray) else str(value)
    assert (shown if name == "numpy.dtype" else name) in str(caught.value)


@pytest.mark.skipif(np.dtype("g").itemsize == 8, reason="no floats of extended precision here")
@pytest.mark.parametrize("char", "gG")
def test_floats_of_extended_precision_are_refused(char: str) -> None:
    """Another machine could not read them."""
    scalar = np.dtype(char).type(1)
    for value, name in (
        (np.ones(1, char), "numpy.dtype"),
        (scalar.dtype, "numpy.dtype"),
        (scalar, f"numpy.{type(scalar).__name__}"),
    ):
        with pytest.raises(CodecError) as caught:
            encode([value])
        assert (caught.value.path, caught.value.type_name) == ("$[0]", name)
