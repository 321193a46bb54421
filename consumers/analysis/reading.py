"""Reads a table's file, and writes it as Arrow's IPC file (Apache Arrow columnar format 1.x).

`python -c "...main()"` runs this as a process with limits of its own: a spreadsheet may be a bomb.
It knows neither Django nor the project.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import hashlib
import json
import resource
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .heads import beginning

_MIB = 2**20
_TIMES = 20
"""How many times larger a packed file may become."""
_PARTS = 5_000
"""Files that a spreadsheet may consist of."""


class Unreadable(Exception):
    """A table that cannot be taken; the message is one sentence."""


@dataclass(frozen=True)
class Bounds:
    """What a table may be, and what reading it may take."""

    bytes: int
    rows: int
    columns: int
    seconds: int
    memory: int
    """MiB of address space."""


def main() -> None:
    """Read what `sys.argv` says; print one line of JSON."""
    asked = json.loads(sys.argv[-1])
    bounds = Bounds(**asked["bounds"])
    _limit(bounds)
    try:
        table = read(Path(asked["source"]), bounds)
        answer: dict[str, Any] = write(table, Path(asked["target"]), bounds)
    except Unreadable as error:
        answer = {"refused": str(error)}
    except ModuleNotFoundError as error:
        answer = {"refused": f"reading it needs {error.name}: install django-turnlog[analyst]"}
    except MemoryError:
        answer = {"refused": "it takes more memory than it may"}
    except Exception as error:  # noqa: BLE001 - the libraries raise anything for a broken file
        answer = {"refused": f"it cannot be read ({type(error).__name__}: {error})"[:300]}
    sys.stdout.write(json.dumps(answer))


def _limit(bounds: Bounds) -> None:
    for kind, most in (
        (resource.RLIMIT_CPU, bounds.seconds),
        (resource.RLIMIT_AS, bounds.memory * _MIB),
        (resource.RLIMIT_FSIZE, bounds.bytes * _TIMES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def read(path: Path, bounds: Bounds) -> Any:
    """Return the table in a file as a DataFrame. Raises Unreadable, and what pandas raises."""
    table = _READERS[path.suffix.lower()](path, bounds)
    require_size(table, bounds)
    return table


def require_size(table: Any, bounds: Bounds) -> None:
    """Raise Unreadable if a table is too large."""
    height, width = table.shape
    if height > bounds.rows:
        raise Unreadable(f"it has more than {bounds.rows:,} rows (TURNLOG['TABLE_ROWS'])")
    _require_columns(width, bounds)


def write(table: Any, target: Path, bounds: Bounds) -> dict[str, Any]:
    """Write a DataFrame as Arrow's IPC file; return its digest, and its beginning as text."""
    import pyarrow as pa
    from pyarrow import ipc

    arrow = pa.Table.from_pandas(_arrowable(table), preserve_index=True, nthreads=1)
    if arrow.nbytes > bounds.bytes * _TIMES:
        raise Unreadable("it takes more memory than it may")
    with ipc.new_file(str(target), arrow.schema) as file:
        file.write_table(arrow)
    digest = hashlib.sha256()
    with target.open("rb") as written:
        while part := written.read(_MIB):
            digest.update(part)
    return {"digest": digest.hexdigest(), "head": beginning(table)}


def _arrowable(table: Any) -> Any:
    """Return a table whose columns each hold values of one kind, under different names."""
    import pyarrow as pa

    names = [str(name) for name in table.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Unreadable(f"it has several columns named {twice!r:.80}")
    table = table.set_axis(names, axis="columns")
    for name in names:
        if table[name].dtype == object:
            try:
                pa.Array.from_pandas(table[name])
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
                table[name] = table[name].map(str, na_action="ignore")
    return table


def _csv(path: Path, bounds: Bounds) -> Any:
    import pandas as pd

    encoding = _encoding_of(path)
    with path.open(encoding=encoding, newline="") as file:
        _require_columns(_width_of(file.readline(bounds.columns * 2_000 + 1)), bounds)
    return pd.read_csv(path, encoding=encoding, nrows=bounds.rows + 1, low_memory=False)


def _encoding_of(path: Path) -> str:
    for encoding in ("utf-8-sig", "cp949"):
        decoder = codecs.getincrementaldecoder(encoding)()
        with path.open("rb") as file, contextlib.suppress(UnicodeDecodeError):
            while part := file.read(_MIB):
                decoder.decode(part)
            decoder.decode(b"", final=True)
            return encoding
    raise Unreadable("its text is neither UTF-8 nor CP949: save it as CSV in UTF-8")


def _width_of(line: str) -> int:
    csv.field_size_limit(_MIB)
    return len(next(csv.reader([line]), []))


def _require_columns(width: int, bounds: Bounds) -> None:
    if width > bounds.columns:
        raise Unreadable(f"it has more than {bounds.columns:,} columns (TURNLOG['TABLE_COLUMNS'])")


def _xlsx(path: Path, bounds: Bounds) -> Any:
    import pandas as pd

    try:
        with zipfile.ZipFile(path) as packed:
            parts = packed.infolist()
    except zipfile.BadZipFile:
        raise Unreadable("it is no .xlsx file") from None
    if len(parts) > _PARTS or sum(part.file_size for part in parts) > bounds.bytes * _TIMES:
        raise Unreadable("it is packed so that it becomes too large")
    try:
        # It keeps no links to other files, and reads row by row.
        return pd.read_excel(path, engine="openpyxl", nrows=bounds.rows + 1)
    except ImportError:
        raise Unreadable("reading it needs openpyxl: install django-turnlog[analyst]") from None


def _xls(path: Path, bounds: Bounds) -> Any:
    import pandas as pd

    try:
        return pd.read_excel(path, engine="xlrd", nrows=bounds.rows + 1)
    except ImportError:
        raise Unreadable("reading .xls needs xlrd: install it, or save the file as .xlsx") from None


def _parquet(path: Path, bounds: Bounds) -> Any:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        told = file.metadata
        if told.num_rows > bounds.rows:
            raise Unreadable(f"it has more than {bounds.rows:,} rows (TURNLOG['TABLE_ROWS'])")
        _require_columns(told.num_columns, bounds)
        sizes = (told.row_group(number).total_byte_size for number in range(told.num_row_groups))
        if sum(sizes) > bounds.bytes * _TIMES:
            raise Unreadable("it is packed so that it becomes too large")
        return file.read(use_threads=False).to_pandas(use_threads=False)


_READERS = {".csv": _csv, ".xlsx": _xlsx, ".xls": _xls, ".parquet": _parquet}
