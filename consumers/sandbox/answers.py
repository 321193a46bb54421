"""What a worker says, read as what a stranger says: anything but the documented form is refused.

The format is in `inside/documents.py` and `inside/tables.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

from ...core.codec.collisions import check_hashes
from ...core.codec.fault import Fault
from .inside.tables import WIDEST
from .limits import MOST_ITEMS
from .pipe import Broken

if TYPE_CHECKING:
    import pandas as pd

_DEPTH = 20
_UNITS = ("s", "ms", "us", "ns")
_ZONE = re.compile(r"(?!dateutil/)[A-Za-z0-9_+:/-]{1,40}", re.ASCII)
_OFFSET = re.compile(r"UTC[+-]\d\d:\d\d", re.ASCII)
_CUTTABLE = ("value", "printed", "charts")


def text_of(message: dict[str, Any], key: str, longest: int) -> str:
    """Return a text of a message. Raises Broken."""
    found = message.get(key)
    if not isinstance(found, str) or len(found) > longest:
        raise Broken(f"expected {key!r} to be a text of at most {longest} characters")
    return found


def cuts_of(message: dict[str, Any]) -> list[str]:
    """Return what a message says was cut. Raises Broken."""
    found = message.get("cut")
    if not isinstance(found, list) or len(found) > len(_CUTTABLE):
        raise Broken("expected 'cut' to be a short list")
    if not all(each in _CUTTABLE for each in found):
        raise Broken("expected 'cut' to list what was cut")
    return found


def value_of(document: Any, rows: int) -> Any:
    """Return the value of a document; a table in it may have so many rows. Raises Broken.

    How much it is, is looked at first: of a few bytes, pandas makes a thousand times as many.
    """
    try:
        _expect_little(document, rows)
        return _value(document, 0)
    except Broken:
        raise
    except Fault as fault:
        raise Broken(fault.message) from fault
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError) as error:
        # What pandas raises where a crafted table contradicts itself.
        raise Broken(f"a result that is none: {type(error).__name__}") from error


def _expect_little(document: Any, rows: int) -> None:
    kind, content = "", cast(Any, None)
    if isinstance(document, dict):
        ((kind, content),) = document.items()
    if kind in ("table", "series"):
        columns = content["columns"] if kind == "table" else [content["column"]]
        _expect_small(columns, rows, "rows")
        _expect_small(content["index"], rows, "rows")
        _expect_small(content.get("labels", []), WIDEST, "columns")
        return
    count, rest = 0, [document]
    while rest:
        found = rest.pop()
        if isinstance(found, dict):
            found = [value for _, value in found.get("dict", ())]
        if isinstance(found, list):
            count += len(found)
            if count > MOST_ITEMS:
                raise Broken(f"a result of more than {MOST_ITEMS:,} values")
            rest += found


def _expect_small(columns: list[Any], longest: int, what: str) -> None:
    if len(columns) > WIDEST:
        raise Broken(f"a table of {len(columns):,} columns, where {WIDEST} are the most")
    length = max((len(column["values"]) for column in columns), default=0)
    if length > longest:
        raise Broken(f"a table of {length:,} {what}, where {longest:,} are the most")


def _value(document: Any, depth: int) -> Any:
    if document is None or isinstance(document, bool | int | float | str):
        return document
    if depth > _DEPTH:
        raise Broken("a result that nests too deep")
    if isinstance(document, list):
        return [_value(each, depth + 1) for each in document]
    ((kind, content),) = document.items()
    if kind == "float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if kind == "dict":
        keys = [_scalar(key) for key, _ in content]
        check_hashes(keys, [None] * len(keys))
        values = (_value(value, depth + 1) for _, value in content)
        return dict(zip(keys, values, strict=True))
    if depth == 0 and kind == "table":
        return _table(content)
    if depth == 0 and kind == "series":
        return _series(content)
    raise Broken(f"a result of an unknown kind {kind!r:.40}")


def _scalar(document: Any) -> Any:
    value = _value(document, _DEPTH)
    if isinstance(value, list | dict):
        raise Broken("a key or a cell that is a list")
    return value


def _table(content: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    columns = [_column(each) for each in content["columns"]]
    index = _index(content["index"], content["index_names"])
    header = _index(content["labels"], content["names"])
    frame = pd.DataFrame(dict(enumerate(columns)), index=pd.RangeIndex(len(index)))
    if any(len(column) != len(index) for column in columns) or len(header) != len(columns):
        raise Broken("a table whose columns differ in length")
    frame.index, frame.columns = index, header
    return frame


def _series(content: dict[str, Any]) -> pd.Series[Any]:
    index = _index(content["index"], content["index_names"])
    series = _column(content["column"])
    if len(series) != len(index):
        raise Broken("a series whose index differs in length")
    series.index, series.name = index, _label(content["name"])
    return series


def _index(levels: list[Any], names: list[Any]) -> pd.Index[Any]:
    import pandas as pd

    arrays, labels = [_column(level) for level in levels], [_label(name) for name in names]
    if not arrays or len(arrays) != len(labels):
        raise Broken("an index without a level")
    if len(arrays) > 1:
        return pd.MultiIndex.from_arrays(arrays, names=labels)
    index: pd.Index[Any] = pd.Index(arrays[0])
    # A DataFrame without labels of its own has the numbers from 0: not a list of them.
    if index.dtype == "int64" and index.equals(pd.RangeIndex(len(index))):
        index = pd.RangeIndex(len(index))
    index.name = labels[0]
    return index


def _label(name: Any) -> str | None:
    if name is not None and not isinstance(name, str):
        raise Broken("a name that is no text")
    return name


def _column(content: dict[str, Any]) -> pd.Series[Any]:
    values = content["values"]
    if not isinstance(values, list):
        raise Broken("a column without values")
    return _KINDS[content["kind"]](values, content)


def _bools(values: list[Any], content: dict[str, Any]) -> pd.Series[Any]:
    return _plain(values, bool, "bool", "boolean")


def _ints(values: list[Any], content: dict[str, Any]) -> pd.Series[Any]:
    big = any(isinstance(value, int) and value >= 2**63 for value in values)
    return _plain(values, int, *(("uint64", "UInt64") if big else ("int64", "Int64")))


def _plain(values: list[Any], kind: type, whole: str, with_gaps: str) -> pd.Series[Any]:
    import pandas as pd

    if not all(value is None or type(value) is kind for value in values):
        raise Broken(f"a column of {kind.__name__} with other values")
    return pd.Series(values, dtype=with_gaps if None in values else whole)


def _floats(values: list[Any], content: dict[str, Any]) -> pd.Series[Any]:
    import pandas as pd

    numbers = [math.nan if value is None else _scalar(value) for value in values]
    if not all(isinstance(value, float | int) for value in numbers):
        raise Broken("a column of floats with other values")
    return pd.Series(numbers, dtype="float64")


def _texts(values: list[Any], content: dict[str, Any]) -> pd.Series[Any]:
    import pandas as pd

    if not all(value is None or isinstance(value, str) for value in values):
        raise Broken("a column of texts with other values")
    # What a column of texts is by default, before pandas 3 and since.
    return pd.Series(values, dtype="object" if pd.__version__.startswith("2.") else "str")


def _mixed(values: list[Any], content: dict[str, Any]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series([_scalar(value) for value in values], dtype="object")


def _times(values: list[Any], content: dict[str, Any]) -> pd.Series[Any]:
    import pandas as pd

    times = pd.Series(_ticks(values, content, "datetime64"))
    zone = content["zone"]
    if not zone:
        return times
    if not isinstance(zone, str) or not _ZONE.fullmatch(zone):
        raise Broken("a time zone that is none")
    times = times.dt.tz_localize("UTC")
    try:
        if not _OFFSET.fullmatch(zone):
            ZoneInfo(zone)  # raises unless it is a zone's name; pandas would also read file names
        return times.dt.tz_convert(zone)
    except (LookupError, ValueError, OSError):
        return times  # A zone that only the worker knows: the moment is the same.


def _spans(values: list[Any], content: dict[str, Any]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(_ticks(values, content, "timedelta64"))


def _ticks(values: list[Any], content: dict[str, Any], kind: str) -> Any:
    import numpy as np

    unit = content["unit"]
    if unit not in _UNITS or not all(value is None or type(value) is int for value in values):
        raise Broken("a column of times with other values")
    nothing = np.iinfo("int64").min
    numbers = [nothing if value is None else value for value in values]
    return np.array(numbers, dtype="int64").view(f"{kind}[{unit}]")


_KINDS: dict[str, Callable[[list[Any], dict[str, Any]], pd.Series[Any]]] = {
    "bool": _bools,
    "int": _ints,
    "float": _floats,
    "text": _texts,
    "time": _times,
    "span": _spans,
    "mixed": _mixed,
}
