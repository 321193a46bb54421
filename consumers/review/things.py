"""Pictures and tables that tools gave, as the review pages show them."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...core import codec
from ...core.codec.encoded import Encoded
from ...core.errors import CodecError
from ...core.masking.masker import Masker
from ...core.wellformed import clipped
from ...events.models import Event

_PICTURE, _TABLE = "PIL.Image", "pandas.DataFrame"
_PNG = b"\x89PNG\r\n\x1a\n"

_PIXELS = 50_000_000
"""The largest picture that a page asks a browser to draw."""
_CHARACTERS = 1_000_000
"""The largest table's document that is read for a page."""
_ROWS, _COLUMNS, _CELL = 100, 30, 200


def is_picture(document: Any) -> bool:
    """Return whether a tool's output is a picture."""
    return _tag_of(document) == _PICTURE


def png_of(event: Event) -> bytes | None:
    """Return the PNG file of a picture that a tool gave; None if the event has none to show."""
    try:
        payload = json.loads(event.payload or "null")
        data = base64.b64decode(payload["output"]["_value"]["png"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        return None
    if event.type != "ToolOutputRecorded" or not data.startswith(_PNG) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])  # PNG, 11.2.1: the header comes first.
    return data if 0 < width * height <= _PIXELS else None


@dataclass(frozen=True, slots=True)
class Table:
    """The beginning of a table, as text, and how many rows and columns it has."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    height: int
    width: int

    @property
    def is_cut(self) -> bool:
        """Whether there is more of it."""
        return self.height > len(self.rows) or self.width > len(self.columns)


def table_of(document: Any, mask: Masker | None = None) -> Table | None:
    """Return a tool's table; None if the output is none, cannot be read here, or is too large."""
    if _tag_of(document) != _TABLE:
        return None
    if isinstance(document, Encoded) and len(document.text) > _CHARACTERS:
        return None
    try:
        frame: Any = codec.decode(document)
    except CodecError:
        return None
    shown = frame.iloc[:_ROWS, :_COLUMNS]
    return Table(
        [_cell(name, mask) for name in shown.columns],
        [[_cell(value, mask) for value in row] for row in shown.itertuples(index=False, name=None)],
        *frame.shape,
    )


def _cell(value: Any, mask: Masker | None) -> str:
    return clipped(str(value if mask is None else mask.cell(value)), _CELL)


def _tag_of(document: Any) -> str:
    if isinstance(document, Encoded):
        # The codec writes the tag first.
        start = document.text[:100]
        return next(
            (tag for tag in (_PICTURE, _TABLE) if start.startswith(f'{{"_type":"{tag}"')), ""
        )
    tag = document.get("_type") if isinstance(document, dict) else None
    return tag if isinstance(tag, str) else ""
