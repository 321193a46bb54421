"""NumPy's dtypes as JSON: the `descr` of NEP 1, the format of .npy files.

| dtype | descr |
|---|---|
| bool, int, float, complex | `"\\|b1"`, `"<i8"`, `"<f4"`, `"<c16"` |
| str, bytes | `"<U5"`, `"\\|S5"` |
| datetime64, timedelta64 | `"<M8[ns]"`, `"<m8[25s]"` |
| object | `"\\|O"` |

`<` and `>` are the byte order. Source: https://numpy.org/neps/nep-0001-npy-format.html. Structured
dtypes, void, StringDType and floats of extended precision are refused: the last ones mean something
else on another machine. The metadata of a dtype is not kept.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..dispatch import DECODERS
from ..fault import Fault, expect

# No comma strings, and no names like "int", whose meaning depends on the platform.
_DESCR = re.compile(
    r"\|b1|\|[iu]1|[<>](?:[iu][248]|f[248]|c8|c16)|\|S\d{1,10}|[<>]U\d{1,10}"
    r"|[<>][mM]8(?:\[\d{0,10}(?:as|fs|ps|ns|us|ms|s|m|h|D|W|M|Y)\])?",
    re.ASCII,
)
_OBJECT = "|O"


def encode_descr(dtype: Any) -> str:
    """The descr of `dtype`. Raises Fault if the dtype is not in the table above."""
    if dtype.kind == "O":
        return _OBJECT
    descr: str = dtype.str
    if not _DESCR.fullmatch(descr) or np.dtype(descr) != dtype:
        raise Fault(
            f"cannot store the NumPy dtype {dtype!s:.80} exactly; convert the array with astype(),"
            " or give value.tolist()",
            "numpy.dtype",
        )
    return descr


def decode_descr(body: Any) -> Any:
    """The dtype of a descr."""
    descr = expect(body, str, "a NumPy descr")
    if descr == _OBJECT:
        return np.dtype(object)
    if not _DESCR.fullmatch(descr):
        raise Fault(f"{descr!r:.80} is not a NumPy descr that turnlog knows")
    return np.dtype(descr)


def encode_dtype(value: Any, depth: int) -> Any:
    return {"_type": "numpy.dtype", "_value": encode_descr(value)}


def _decode_dtype(body: Any, depth: int) -> Any:
    return decode_descr(body)


DECODERS["numpy.dtype"] = _decode_dtype
