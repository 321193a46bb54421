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

PADDED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
Text = np.dtypes.StringDType


def filled(value: Any, dtype: Any) -> Any:
    array = np.empty(len(value), dtype)
    array[:] = value
    return array


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
    np.array([1.5], "g"),
    np.array([1 + 2j, np.nan], "c8"),
    np.array(["a", "한글\0b", "😀", ""]),
    np.array(["", ""], "U0"),
    np.array([b"x\0y"]),
    np.zeros(2, "V3"),
    np.array(["2026-11-22", "NaT"], "M8[ns]"),
    np.array([1, 2], "m8[25s]"),
    np.array([(1, [[1, 2]])], [("한", "i1"), (("title", "y"), "<f8", (1, 2))]),
    np.zeros((2, 2), []),
    np.array(None, object),
    np.empty((0,), object),
    np.array([[1, None], ["x", (2, [3])]], object, order="F"),
    filled(["x", "한글", ""], Text()),
    filled(["x", None], Text(na_object=None)),
    filled(["x", np.nan], Text(na_object=np.nan, coerce=False)),
]
SCALARS = [
    *(np.dtype(char).type(1) for char in "?bBhHiIlLefd"),
    np.uint64(2**64 - 1),
    np.float32(0.1),
    np.float64(-0.0),
    np.float64("nan"),
    np.float16("-inf"),
    np.longdouble(1) / 3,
    np.complex64(1 - 0j),
    np.str_("a\0"),
    np.str_("\ud83d\ude00"),
    np.bytes_(b"a\0"),
    np.datetime64("2026-11-22T10:42", "us"),
    np.datetime64("NaT", "s"),
    np.timedelta64(3, "h"),
    np.void(b"abc"),
    np.array([(1, 2.0)], [("a", "i1"), ("b", "f8")])[0],
    np.dtype("<f8"),
    np.dtype(object),
    Text(na_object=None),
]


@pytest.mark.parametrize("value", ARRAYS + SCALARS, ids=lambda v: f"{type(v).__name__} {v!s:.20}")
def test_what_comes_back_is_the_same(value: Any) -> None:
    again = loads(dumps(value))
    assert_same(again, value)
    assert dumps(again) == dumps(value)
    if (
        isinstance(value, np.ndarray)
        and value.dtype.names is None
        and value.dtype.kind not in "OTfc"
    ):
        assert again.tobytes() == value.tobytes()


dtypes = st.one_of(
    npst.scalar_dtypes(),
    npst.array_dtypes(
        npst.integer_dtypes() | npst.unicode_string_dtypes() | npst.datetime64_dtypes(),
        allow_subarrays=True,
    ),
)


@given(st.data())
def test_any_array_comes_back(data: st.DataObject) -> None:
    dtype = data.draw(dtypes)
    array = data.draw(npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0, max_side=3)))
    again = loads(dumps(array))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()
    assert again.flags.writeable
    if array.ndim == 0 and dtype.names is None:
        scalar = loads(dumps(array[()]))
        assert type(scalar) is np.dtype(dtype.str).type
        assert np.asarray(scalar).tobytes() == np.asarray(array[()]).tobytes()


@given(npst.arrays("f8", 3, elements=st.floats(allow_subnormal=True)))
def test_nan_payloads_are_kept(array: Any) -> None:
    array.view("u8")[0] = 0x7FF800000000BEEF
    assert loads(dumps(array)).tobytes() == array.tobytes()
    assert np.asarray(loads(dumps(array[0]))).tobytes() == array[:1].tobytes()


@pytest.mark.parametrize("array", [ARRAYS[0], ARRAYS[1], ARRAYS[15]])
def test_the_data_is_that_of_a_npy_file(array: Any) -> None:
    """As documented: NEP 1's header as JSON, and its body."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    body = json.loads(dumps(array))["_value"]
    assert file.getvalue().endswith(base64.b64decode(body["data"]))
    read = np.frombuffer(base64.b64decode(body["data"]), body["dtype"])
    np.testing.assert_array_equal(read.reshape(body["shape"], order=body["order"]), array)


def test_the_bytes_between_fields_are_not_stored() -> None:
    """They hold whatever was in that memory before."""
    array = np.frombuffer(b"\xaa" * 32, np.uint8).copy().view(PADDED)
    array["a"], array["b"] = 1, 2.0
    data = base64.b64decode(encode(array)["_value"]["data"])
    assert b"\xaa" not in data
    again = loads(dumps(array))
    assert again.dtype == PADDED
    assert again.tolist() == [(1, 2.0), (1, 2.0)]
    assert loads(dumps(PADDED)) == PADDED


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
    assert encode(PADDED)["_value"] == [["a", "|i1"], ["", "|V7"], ["b", "<f8"]]


class Mine(np.ndarray):
    pass


@pytest.mark.parametrize(
    "value",
    [
        np.ma.array([1], mask=[True]),
        np.rec.array([(1,)], dtype=[("a", "i4")]),
        np.zeros(1).view(Mine),
        np.zeros(1, {"names": ["x", "y"], "formats": ["i4", "i4"], "offsets": [0, 2]}),
        np.array([(1, None)], [("a", "i4"), ("b", "O")]),
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
