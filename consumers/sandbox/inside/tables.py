"""DataFrames and Series as documents: columns of plain values, each with its kind.

A table is `{"rows": N, "width": N, "index": [...], "index_names": [...], "labels": [...], "names":
[...], "columns": [...]}`: how large it is, the levels of its index, the columns' labels (one list
for each level), and the columns. A column is `{"kind": K, "values": [...]}`; where a value is
missing, there is None. Kinds: `bool`, `int`, `float`, `text`, `time` (numbers of `unit` since 1970,
in `zone`), `span` (numbers of `unit`) and `mixed` (a document for each value).
"""

from __future__ import annotations

from typing import Any

from .documents import Writer, wording

WIDEST = 200
"""Columns of a table that are sent."""


def table_of(frame: Any, rows: int, writer: Writer) -> dict[str, Any]:
    """Return the document of a DataFrame's first rows."""
    import pandas as pd

    shown = frame.iloc[:rows, :WIDEST]
    writer.is_cut |= frame.shape != shown.shape
    header = shown.columns
    levels = range(header.nlevels)
    return {
        "rows": frame.shape[0],
        "width": frame.shape[1],
        **_index(shown.index, writer),
        "labels": [_column(pd.Series(header.get_level_values(n)), writer) for n in levels],
        "names": [_name(name, writer) for name in header.names],
        "columns": [_column(shown.iloc[:, n], writer) for n in range(shown.shape[1])],
    }


def series_of(series: Any, rows: int, writer: Writer) -> dict[str, Any]:
    """Return the document of a Series' first values."""
    shown = series.iloc[:rows]
    writer.is_cut |= len(series) != len(shown)
    return {
        "rows": len(series),
        **_index(shown.index, writer),
        "name": _name(series.name, writer),
        "column": _column(shown, writer),
    }


def _index(index: Any, writer: Writer) -> dict[str, Any]:
    import pandas as pd

    levels = (index.get_level_values(n) for n in range(index.nlevels))
    return {
        "index": [_column(pd.Series(level), writer) for level in levels],
        "index_names": [_name(name, writer) for name in index.names],
    }


def _name(name: Any, writer: Writer) -> Any:
    return name if name is None else writer.text(wording(name))


def _column(series: Any, writer: Writer) -> dict[str, Any]:
    import pandas as pd

    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype):
        # By their places: a column of integers has none for what is in no category.
        used = series.cat.remove_unused_categories().cat
        column = _column(pd.Series(used.categories), writer)
        values = [*column["values"], None]
        return {**column, "values": [values[code] for code in used.codes]}
    if isinstance(kind, pd.SparseDtype):
        return _column(series.sparse.to_dense(), writer)
    if pd.api.types.is_bool_dtype(kind):
        return {"kind": "bool", "values": _plain(series)}
    if pd.api.types.is_integer_dtype(kind):
        return {"kind": "int", "values": _plain(series)}
    if pd.api.types.is_float_dtype(kind):
        return {"kind": "float", "values": [_number(value, writer) for value in _plain(series)]}
    if pd.api.types.is_datetime64_any_dtype(kind) and (unit := _unit(series)):
        zone = "" if series.dt.tz is None else str(series.dt.tz)
        return {"kind": "time", "unit": unit, "zone": zone, "values": _ticks(series)}
    if pd.api.types.is_timedelta64_dtype(kind) and (unit := _unit(series)):
        return {"kind": "span", "unit": unit, "values": _ticks(series)}
    if isinstance(kind, pd.StringDtype):
        cells = (None if value is None else writer.text(str(value)) for value in _plain(series))
        return {"kind": "text", "values": list(cells)}
    return {"kind": "mixed", "values": [_cell(value, writer) for value in series.tolist()]}


def _plain(series: Any) -> list[Any]:
    missing = series.isna().tolist()
    values = series.tolist()
    return [None if gone else value for gone, value in zip(missing, values, strict=True)]


def _unit(series: Any) -> str:
    """Return the unit of a column's times; "" if it has none, such as Arrow's dates."""
    try:
        return str(series.dt.unit)
    except (AttributeError, NotImplementedError):
        return ""


def _ticks(series: Any) -> list[Any]:
    gone = series.isna()
    ticks = series.astype("int64").tolist()
    return [None if none else tick for none, tick in zip(gone.tolist(), ticks, strict=True)]


def _number(value: Any, writer: Writer) -> Any:
    return None if value is None else writer.document(float(value))


def _cell(value: Any, writer: Writer) -> Any:
    """A cell is a scalar, or the text of what is not: nobody looks into a cell's own tables."""
    if value is None or isinstance(value, bool | int | float | str):
        return writer.document(value)
    return writer.document(value, writer.depth)
