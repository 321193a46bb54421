"""Tables and pictures that tools gave, as pages show them.

A tool gives one thing, or a list of things and texts. Anything else is shown as its document.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from ...core import codec
from ...core.codec.blobs import whole
from ...core.codec.encoded import Encoded
from ...core.codec.excerpts import beginning, outline
from ...core.errors import CodecError
from ...core.masking.documents import masked
from ...core.masking.masker import Masker
from ...core.wellformed import clipped, wellformed
from ...core.wording import text_of
from .room import PICTURES, Room

logger = logging.getLogger("turnlog")

Thing = dict[str, Any]
"""`{"kind": "table", "columns", "rows", "height", "width", "cut"}` with texts in it,
`{"kind": "picture", "src"}`, `{"kind": "withheld"}` or `{"kind": "text", "text"}`."""

_PICTURE, _FRAME, _SERIES = "PIL.Image", "pandas.DataFrame", "pandas.Series"
_THINGS = (_PICTURE, _FRAME, _SERIES)
_PNG = b"\x89PNG\r\n\x1a\n"

_PIXELS = 50_000_000
"""The largest picture that a page asks a browser to draw."""
_CHARACTERS = 1_000_000
"""The largest table's document that is read for a page."""
_ROWS, _COLUMNS, _CELL = 100, 30, 200
_MOST = 20
"""Things of one tool's output that are shown."""


def things_of(document: Any, room: Room, mask: Masker | None = None) -> list[Thing]:
    """Return what a tool's output shows; nothing if there is neither a table nor a picture in it.

    A picture is withheld from whoever sees personal data masked: nobody can say what is in it. Its
    `src` is empty if there is no room for it.
    """
    parts = _parts(document)
    if not any(_tag_of(part) in _THINGS for part in parts):
        return []
    return [_thing(part, room, mask) for part in parts[:_MOST]]


def png_in(payload: str | None, number: int = 0) -> bytes | None:
    """Return the PNG file of an output's thing, by its number; None if it is no picture to show.

    `payload` is that of ToolOutputRecorded.
    """
    try:
        return _png(_parts(json.loads(whole(payload or "null"))["output"])[number])
    except (CodecError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None


def _parts(document: Any) -> Sequence[Any]:
    if isinstance(document, Encoded) and document.text.startswith("["):
        try:
            document = outline(document.text, 1)
        except CodecError:
            return []
    return document if isinstance(document, list) else [document]


def _thing(document: Any, room: Room, mask: Masker | None) -> Thing:
    tag = _tag_of(document)
    if tag == _PICTURE and mask is not None:
        return {"kind": "withheld"}
    if tag == _PICTURE:
        return {"kind": "picture", "src": _src(document, room)}
    if tag in _THINGS and (table := _table(document, room, mask)) is not None:
        return table
    text = _text(document if mask is None else masked(document, mask))
    return {"kind": "text", "text": room.clipped(text)}


def _src(document: Any, room: Room) -> str:
    # Looked at before it is decoded, which takes long for a large one.
    if isinstance(document, Encoded) and len(document.text) > 2 * PICTURES:
        return ""
    png = _png(document)
    if png is None or not room.has_picture(len(png)):
        return ""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _text(document: Any) -> str:
    try:
        return wellformed(beginning(document, _CHARACTERS))
    except CodecError as error:
        return str(error)


def _png(document: Any) -> bytes | None:
    try:
        if isinstance(document, Encoded):
            document = json.loads(document.text)
        data = base64.b64decode(document["_value"]["png"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        return None
    if not data.startswith(_PNG) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])  # PNG, 11.2.1: the header comes first.
    return data if 0 < width * height <= _PIXELS else None


def _table(document: Any, room: Room, mask: Masker | None) -> Thing | None:
    """Return the beginning of a table; None if it cannot be read here, or is too large to."""
    if isinstance(document, Encoded) and len(document.text) > _CHARACTERS:
        return None
    try:
        return _shown(codec.decode(document), room, mask)
    except CodecError:
        return None
    except Exception:
        # pandas reads values that it then fails to give out: whatever it is, the page is shown.
        logger.exception("a table in a tool's output cannot be shown")
        return None


def _shown(frame: Any, room: Room, mask: Masker | None) -> Thing:
    if frame.ndim == 1:
        frame = frame.to_frame("" if frame.name is None else frame.name)
    shown = frame.iloc[:_ROWS, :_COLUMNS]
    names = _labels(frame.index)
    columns = [_cell(name, mask) for name in (*names, *shown.columns)]
    rows = list(room.rows(_cells(row, mask) for row in _rows(shown, len(names))))
    height, width = frame.shape
    return {
        "kind": "table",
        "columns": columns,
        "rows": rows,
        "height": height,
        "width": width,
        "cut": height > len(rows) or width > shown.shape[1],
    }


def _labels(index: Any) -> Sequence[Any]:
    """Return what to write above a table's row labels; nothing if they only count the rows."""
    import pandas as pd

    if index.name is None and index.equals(pd.RangeIndex(len(index))):
        return ()
    return ["" if name is None else name for name in index.names]


def _rows(frame: Any, labels: int) -> Iterator[Sequence[Any]]:
    for label, row in zip(frame.index, frame.itertuples(index=False, name=None), strict=True):
        yield (*(label if labels > 1 else [label][:labels]), *row)


def _cells(row: Sequence[Any], mask: Masker | None) -> list[str]:
    return [_cell(value, mask) for value in row]


def _cell(value: Any, mask: Masker | None) -> str:
    return clipped(text_of(value if mask is None else mask.cell(value)), _CELL)


def _tag_of(document: Any) -> str:
    if isinstance(document, Encoded):
        # The codec writes the tag first.
        start = document.text[:100]
        return next((tag for tag in _THINGS if start.startswith(f'{{"_type":"{tag}"')), "")
    tag = document.get("_type") if isinstance(document, dict) else None
    return tag if isinstance(tag, str) else ""
