"""The beginning of a table as a short text, for a model.

What is in a table may come from anybody: neither a wide table nor a long cell makes the text long,
and no cell breaks out of its row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ...core.wording import text_of

COLUMNS = 30
_CELL = 80
_LONGEST = 6_000

# Line ends, and what a terminal or a reader would take for something else than text.
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def beginning(table: Any, rows: int = 5) -> str:
    """Return the first rows of a DataFrame or a Series as Markdown, and how much there is of it."""
    frame = table if table.ndim == 2 else table.to_frame("" if table.name is None else table.name)
    shown = frame.iloc[:rows, :COLUMNS]
    names = [*_names(shown.index), *map(_cell, shown.columns)]
    lines = [_line(names), _line(["---"] * len(names))]
    length = sum(map(len, lines))
    for label, row in zip(shown.index, shown.itertuples(index=False, name=None), strict=True):
        labels = label if shown.index.nlevels > 1 else [label]
        line = _line(map(_cell, (*labels, *row)))
        length += len(line)
        if length > _LONGEST and len(lines) > 2:
            break
        lines.append(line)
    height, width = frame.shape
    text = "\n".join(lines)
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
    left = f", the first {shown.shape[1]} are shown" if width > shown.shape[1] else ""
    return f"{text}\n\n({height:,} rows, {width:,} columns{left})"


def _names(index: Any) -> Sequence[str]:
    return ["" if name is None else _cell(name) for name in index.names]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    text = text_of(value)
    text = text if len(text) <= _CELL else text[:_CELL] + "…"
    return _ODD.sub(" ", text).replace("|", "\\|")
