"""Tables as the sandbox loads them: files of Arrow's, one for each content.

They are in a folder of this process's, which goes when the process ends.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core import conf
from ...core.errors import TableError
from ..sandbox import Table
from .reading import Bounds, Unreadable, require_size, write

_MOST = 64
"""Tables that are kept; beyond these, those go first that were not used for longest."""
_READERS = threading.Semaphore(2)
"""Files that are read at once: each may keep a processor busy."""
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " from turnlog.consumers.analysis.reading import main; main()"
)

Content = tuple[Any, ...]
"""What tells one content of a file from another without reading it."""


@dataclass(frozen=True)
class Prepared:
    """A table for the sandbox, and its beginning for the model."""

    table: Table
    head: str

    @property
    def is_there(self) -> bool:
        """Whether its file is still kept."""
        return self.table.path.exists()


_kept: OrderedDict[Content, Prepared | str] = OrderedDict()
"""What was read, or why it cannot be: a bomb goes off once."""
_lock = threading.Lock()


def known(path: Path) -> Prepared | None:
    """Return the table in a file if it has been read. Raises TableError if it could not be."""
    content = _content_of(path)
    with _lock:
        found = _kept.get(content)
        if found is None:
            return None
        _kept.move_to_end(content)
    if isinstance(found, str):
        raise TableError(found)
    return found


def of_file(path: Path) -> Prepared:
    """Return the table in a file, which is read once for each of its contents. Raises TableError.

    This waits for another process: call it in a thread.
    """
    with _READERS:
        if (found := known(path)) is not None:
            return found  # Somebody else has read it meanwhile.
        content = _content_of(path)
        try:
            prepared = _read(path)
        except TableError as error:
            _keep(content, str(error))
            raise
    _keep(content, prepared)
    return prepared


def of_frame(frame: Any) -> Prepared:
    """Return a DataFrame of the project's as a table. Raises TableError."""
    if not _is_frame(frame):
        raise TableError(
            f"expected get_dataframe() to return a DataFrame, found {type(frame).__name__}"
        )
    target, bounds = _new_file(), _bounds()
    try:
        require_size(frame, bounds)
        written = write(frame, target, bounds)
    except (Unreadable, ValueError, TypeError, ImportError) as error:
        target.unlink(missing_ok=True)
        raise TableError(f"the table of get_dataframe() cannot be used: {error}") from error
    content: Content = (written["digest"],)
    with _lock:
        same = _kept.get(content)
    if isinstance(same, Prepared):
        target.unlink()  # Others use that one.
        return same
    prepared = Prepared(Table(target, written["digest"]), written["head"])
    _keep(content, prepared)
    return prepared


def frame_of(prepared: Prepared) -> Any:
    """Return a table as a DataFrame."""
    import pyarrow as pa
    from pyarrow import ipc

    with pa.OSFile(str(prepared.table.path)) as file:
        return ipc.open_file(file).read_all().to_pandas()


def _read(path: Path) -> Prepared:
    bounds, target = _bounds(), _new_file()
    asked = {"source": str(path), "target": str(target), "bounds": vars(bounds)}
    command = [sys.executable, "-I", "-c", _PROGRAM, json.dumps(_paths()), json.dumps(asked)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Nothing of the server's environment, which has keys in it.
            env={"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"},
            timeout=2 * bounds.seconds,
            check=False,
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        answer = {
            "refused": f"reading it takes more memory, or longer than {bounds.seconds} seconds"
            " (TURNLOG['TABLE_SECONDS'])"
        }
    if "refused" in answer:
        target.unlink(missing_ok=True)
        raise TableError(f"the table {path.name!r:.100} cannot be used: {answer['refused']}")
    return Prepared(Table(target, answer["digest"]), answer["head"])


def _paths() -> list[str]:
    return [path for path in sys.path if os.path.isabs(path)]


def _bounds() -> Bounds:
    settings = conf.get()
    return Bounds(
        bytes=settings.table_bytes,
        rows=settings.table_rows,
        columns=settings.table_columns,
        seconds=settings.table_seconds,
        memory=settings.sandbox_memory,
    )


def _content_of(path: Path) -> Content:
    try:
        status = path.stat()
    except OSError as error:
        raise TableError(f"the table {path.name!r:.100} cannot be read") from error
    place = (status.st_dev, status.st_ino, status.st_size)
    return (str(path), *place, status.st_mtime_ns, status.st_ctime_ns, _bounds())


def _keep(content: Content, read: Prepared | str) -> None:
    with _lock:
        gone = [_kept.pop(content, None)]
        _kept[content] = read
        while len(_kept) > _MOST:
            gone.append(_kept.popitem(last=False)[1])
    for each in gone:
        if isinstance(each, Prepared):
            each.table.path.unlink(missing_ok=True)


def _new_file() -> Path:
    return _folder(os.getpid()) / f"{secrets.token_hex(16)}.arrow"


@functools.cache
def _folder(process: int) -> Path:
    # By the process: one that was forked must not remove its parent's.
    folder = tempfile.mkdtemp(prefix="turnlog-tables-")
    atexit.register(_remove, folder, process)
    return Path(folder)


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _is_frame(value: Any) -> bool:
    import pandas as pd

    return isinstance(value, pd.DataFrame)
