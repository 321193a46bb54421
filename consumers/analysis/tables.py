"""Tables as the sandbox loads them: files of Arrow's, one for each content.

They are in a folder of this process's, which goes when the process ends. A file goes before that
when no turn uses it any more and other tables have taken its place.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core import conf
from ...core.errors import TableError
from ..sandbox import Table
from .reading import Bounds, require_size, write

_MOST = 64
"""Tables that are kept; beyond these, those go first that were not used for longest."""
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""How a library ends that a file has broken, or that gets no more memory."""
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
_lock = threading.RLock()
_turns: weakref.WeakValueDictionary[Content, threading.Lock] = weakref.WeakValueDictionary()
"""Who reads a content, where several ask for it at once: one of them."""


def known(path: Path) -> Prepared | None:
    """Return the table in a file if it has been read. Raises TableError if it could not be."""
    found = _found(_content_of(path))
    return None if found is None else _given(found)


def of_file(path: Path) -> Prepared:
    """Return the table in a file, which is read once for each of its contents. Raises TableError.

    This waits for another process: call it in a thread.
    """
    content = _content_of(path)
    with _lock:
        turn = _turns.setdefault(content, threading.Lock())
    # Not the other way round: those who wait for the same content need no reader.
    with turn, _READERS:
        content = _content_of(path)  # It may have changed meanwhile, or have been read.
        found = _found(content)
        if found is None:
            found = _keep(content, _read(path))
    return _given(found)


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
    except Exception as error:  # The libraries raise anything, and so may the text of a cell.
        target.unlink(missing_ok=True)
        raise TableError(f"the table of get_dataframe() cannot be used: {error}") from error
    return _given(_keep((written["digest"],), _prepared(target, written)))


def frame_of(prepared: Prepared) -> Any:
    """Return a table as a DataFrame."""
    import pyarrow as pa
    from pyarrow import ipc

    with pa.OSFile(str(prepared.table.path)) as file:
        return ipc.open_file(file).read_all().to_pandas()


def _read(path: Path) -> Prepared | str:
    """Return the table in a file, or why the file holds none. Raises TableError for what passes."""
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
        answer = _answer(done, bounds)
    except (subprocess.TimeoutExpired, OSError) as error:
        # Not its own text: it may have the whole command in it.
        answer = {"refused": f"nothing could read it ({type(error).__name__})", "passes": True}
    if "refused" not in answer:
        return _prepared(target, answer)
    target.unlink(missing_ok=True)
    why = f"the table {path.name!r:.100} cannot be used: {answer['refused']}"
    if answer.get("passes"):
        raise TableError(f"{why}; the next question tries again")
    return why


def _answer(done: subprocess.CompletedProcess[bytes], bounds: Bounds) -> dict[str, Any]:
    """Return what a reader has said, or what its end says."""
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        if done.returncode == -signal.SIGXCPU:
            long = f"{bounds.seconds} seconds (TURNLOG['TABLE_SECONDS'])"
            return {"refused": f"reading it takes longer than {long}"}
        if -done.returncode in _CRASHES:
            return {"refused": "reading it takes more memory than it may, or it is broken"}
        # Somebody has killed it, such as the kernel for a machine without memory.
        return {"refused": f"its reader has ended ({done.returncode})", "passes": True}
    return answer


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


def _found(content: Content) -> Prepared | str | None:
    with _lock:
        found = _kept.get(content)
        if found is None or (isinstance(found, Prepared) and not found.is_there):
            return None  # Something else has cleaned up the folder.
        _kept.move_to_end(content)
        return found


def _keep(content: Content, read: Prepared | str) -> Prepared | str:
    """Return what is kept from now on: what others have kept meanwhile, or `read`."""
    with _lock:
        if (found := _found(content)) is not None:
            return found
        _kept[content] = read
        _kept.move_to_end(content)
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
    return read


def _given(found: Prepared | str) -> Prepared:
    if isinstance(found, str):
        raise TableError(found)
    return found


def _prepared(target: Path, written: dict[str, Any]) -> Prepared:
    """Return a table whose file lives as long as anything refers to the table."""
    table = Table(target, written["digest"])
    # When the process ends, the whole folder goes.
    weakref.finalize(table, _discard, target, os.getpid()).atexit = False
    return Prepared(table, written["head"])


def _discard(path: Path, process: int) -> None:
    if os.getpid() == process:
        path.unlink(missing_ok=True)


def _new_file() -> Path:
    """Return the path of a file to be written. Raises TableError."""
    try:
        if not _is_own(_folder(os.getpid())):
            _folder.cache_clear()  # Something has cleaned up what is temporary.
        return _folder(os.getpid()) / f"{secrets.token_hex(16)}.arrow"
    except OSError as error:
        raise TableError(f"there is no folder to keep the table in: {error.strerror}") from error


def _is_own(folder: Path) -> bool:
    # Its name is known by now: somebody else may have made a folder there.
    with contextlib.suppress(OSError):
        status = folder.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return False


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
