"""DataFrame and Series as django-pyhub-ai stored them: the output of `to_dict()`, without dtypes.

The codec reads these documents and never writes them. The result holds what `to_dict()` kept: the
labels are text, and pandas infers the dtypes. `to_dict()` gives each column the same rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..dispatch import decode_items
from ..fault import Fault, expect


def decode_legacy_frame(body: Any, depth: int) -> Any:
    columns = _plain(body, "the value of a DataFrame")
    if not columns:
        return pd.DataFrame()
    rows: list[str] | None = None
    data = []
    for label, column in columns.items():
        labels = list(_plain(column, "a column"))
        if rows is not None and labels != rows:
            # pandas would make a table of all rows and all columns.
            raise Fault("each column of a DataFrame must have the same rows").at_key(label)
        rows = labels
        data.append(_cells(column, depth + 2))
    frame = pd.DataFrame(dict(enumerate(data)), index=pd.Index(rows or []))
    frame.columns = pd.Index(list(columns))
    return frame


def decode_legacy_series(body: Any, depth: int) -> Any:
    items = _plain(body, "the value of a Series")
    if not items:
        return pd.Series({})
    return pd.Series(_cells(items, depth + 1), index=pd.Index(list(items)))


def _plain(body: Any, what: str) -> dict[str, Any]:
    found: dict[str, Any] = expect(body, dict, what)
    if "_type" in found:
        raise Fault(f"{what} must be a plain object")
    return found


def _cells(items: dict[str, Any], depth: int) -> list[Any]:
    cells = decode_items(list(items.values()), depth)
    rest = list(cells)
    while rest:
        cell = rest.pop()
        if isinstance(cell, np.ndarray | pd.Index | pd.Series | pd.DataFrame):
            # NumPy would unpack it, whatever length it claims.
            raise Fault("a cell of a DataFrame or Series must not be an array")
        if isinstance(cell, list | tuple):
            rest += cell
    return cells
