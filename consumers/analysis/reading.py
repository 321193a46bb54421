"""Reads a table's file, and writes it as Arrow's IPC file (Apache Arrow columnar format 1.x).

`python -c "...main()"` runs this as a process with limits of its own: a spreadsheet may be a bomb.
It knows neither Django nor the project.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import errno
import hashlib
import json
import resource
import sys
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.wording import text_of
from .heads import beginning

_MIB = 2**20
_TIMES = 20
"""How many times larger a packed file may become."""
_PARTS = 5_000
"""Files that a spreadsheet may consist of."""
_SEPARATORS = ",;\t|"
_OWN_FAULTS = (None, errno.EFBIG, errno.ENOMEM)
"""Numbers of OSErrors that a file causes, by what it is or by the limits."""
_MISFITS = (ArithmeticError, NotImplementedError, TypeError, ValueError)
"""What Arrow raises for values that it has no type for."""


class Unreadable(Exception):
    """A table that cannot be taken; the message is one sentence."""


class Lacking(Unreadable):
    """A library is not installed: it is not the table's fault."""


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
        answer = {"refused": str(error), "passes": isinstance(error, Lacking)}
    except ModuleNotFoundError as error:
        why = f"reading it needs {error.name}: install django-turnlog[analyst]"
        answer = {"refused": why, "passes": True}
    except MemoryError:
        answer = {"refused": "it takes more memory than it may"}
    except Exception as error:  # noqa: BLE001 - the libraries raise anything for a broken file
        answer = {
            "refused": f"it cannot be read ({type(error).__name__}: {error})"[:300],
            # A full disk, say.
            "passes": isinstance(error, OSError) and error.errno not in _OWN_FAULTS,
        }
    sys.stdout.write(json.dumps(answer))


def _limit(bounds: Bounds) -> None:
    for kind, most, hardest in (
        # At the hard limit, the signal is that of any kill; before it, it says why.
        (resource.RLIMIT_CPU, bounds.seconds, bounds.seconds + 1),
        (resource.RLIMIT_AS, bounds.memory * _MIB, bounds.memory * _MIB),
        (resource.RLIMIT_FSIZE, bounds.bytes * _TIMES, bounds.bytes * _TIMES),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, hard = resource.getrlimit(kind)
        hard = hardest if hard == resource.RLIM_INFINITY else min(hardest, hard)
        resource.setrlimit(kind, (min(most, hard), hard))


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
    # An index may have levels, and each is a column, too.
    _require_columns(width + table.index.nlevels - 1, bounds)


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
    names = [str(name) for name in table.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Unreadable(f"it has several columns named {twice!r:.80}")
    table = table.set_axis(names, axis="columns")
    for name in names:
        column = table[name]
        kept = _kept(column, f"its column {name!r:.80}")
        if kept is not column:
            table[name] = kept
    table.index = _indexed(table.index)
    return table


def _indexed(index: Any) -> Any:
    import pandas as pd

    index = index.set_names([None if name is None else str(name) for name in index.names])
    if isinstance(index, pd.RangeIndex):
        return index
    levels = [_kept(index.get_level_values(n), "its index") for n in range(index.nlevels)]
    return pd.MultiIndex.from_arrays(levels) if len(levels) > 1 else levels[0]


def _kept(values: Any, what: str) -> Any:
    """Return a column, or an index's level, as it is if Arrow has a type for it; else as text."""
    if _has_type(values):
        return values
    with contextlib.suppress(*_MISFITS):
        text = values.map(text_of, na_action="ignore")
        if _has_type(text):
            return text
    raise Unreadable(f"{what} holds {values.dtype} values, which cannot be kept, not even as text")


def _has_type(values: Any) -> bool:
    import pyarrow as pa

    try:
        found = pa.Array.from_pandas(values).type
    except _MISFITS:
        return False
    # Intervals as categories (`pd.cut`) are written, but cannot be read.
    is_category = pa.types.is_dictionary(found)
    return not (is_category and isinstance(found.value_type, pa.BaseExtensionType))


def _csv(path: Path, bounds: Bounds) -> Any:
    import pandas as pd

    encoding = _encoding_of(path)
    with path.open(encoding=encoding, newline="") as file:
        lines = iter(lambda: file.readline(bounds.columns * 2_000 + 1), "")
        head = next((line for line in lines if line.strip()), "")
    separator = _separator_of(head)
    _require_columns(_width_of(head, separator), bounds)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(
                path,
                sep=separator,
                encoding=encoding,
                nrows=bounds.rows + 1,
                low_memory=False,
                # Otherwise cells after the last name, such as what a comma at the end of each row
                # makes, move the columns: the first one becomes the index.
                index_col=False,
            )
        except pd.errors.ParserWarning:
            raise Unreadable("its rows have more cells than its first row has names") from None


def _encoding_of(path: Path) -> str:
    for encoding in ("utf-8-sig", "cp949"):
        decoder = codecs.getincrementaldecoder(encoding)()
        with path.open("rb") as file, contextlib.suppress(UnicodeDecodeError):
            while part := file.read(_MIB):
                decoder.decode(part)
            decoder.decode(b"", final=True)
            return encoding
    raise Unreadable("its text is neither UTF-8 nor CP949: save it as CSV in UTF-8")


def _separator_of(head: str) -> str:
    """Return what separates the names in a first row: a comma, if there is one."""
    return next((each for each in _SEPARATORS if _width_of(head, each) > 1), ",")


def _width_of(line: str, separator: str) -> int:
    csv.field_size_limit(_MIB)
    return len(next(csv.reader([line], delimiter=separator), []))


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
        raise Lacking("reading it needs openpyxl: install django-turnlog[analyst]") from None


def _xls(path: Path, bounds: Bounds) -> Any:
    import pandas as pd

    try:
        return pd.read_excel(path, engine="xlrd", nrows=bounds.rows + 1)
    except ImportError:
        raise Lacking("reading .xls needs xlrd: install it, or save the file as .xlsx") from None


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
