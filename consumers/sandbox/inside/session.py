"""Runs code: its variables live from call to call, and its last expression is the result."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import itertools
import json
import linecache
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from . import figures, tables
from .documents import Writer
from .printing import Printed

NAMES = {"pd": "pandas", "np": "numpy", "plt": "matplotlib.pyplot", "sns": "seaborn"}
_LETTERS_OF_CELL = 2_000
_LAST_LINES = 20


class TooLong(BaseException):
    """The code has run for as long as it may. Not an Exception: `except Exception` lets it pass."""


class Session:
    """What one worker has: its variables, and the bounds of an answer.

    `bounds` are `printed` (characters), `rows`, `items`, `charts`, `pixels` (of
    all charts), `answer` and `chart` (bytes).
    """

    def __init__(self, bounds: dict[str, int], fonts: list[str]) -> None:
        self._bounds, self._fonts = bounds, fonts
        self._names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        self._count = itertools.count(1)
        for name, module in NAMES.items():
            with contextlib.suppress(ImportError):
                self._names[name] = importlib.import_module(module)
        with contextlib.suppress(ImportError):
            figures.prepare(fonts)
        with contextlib.suppress(ImportError):
            _start_arrows_threads()
        signal.signal(signal.SIGALRM, _too_long)

    def load(self, content: bytes) -> None:
        """Read a table, Parquet or Arrow's IPC format (file or stream), as `df`."""
        from pyarrow import ipc, parquet

        if content.startswith(b"PAR1"):
            table = parquet.read_table(io.BytesIO(content), use_threads=False)
        elif content.startswith(b"ARROW1"):
            table = ipc.open_file(content).read_all()
        else:
            table = ipc.open_stream(content).read_all()
        self._names["df"] = table.to_pandas(use_threads=False)

    def run(self, code: str, seconds: float) -> tuple[dict[str, Any], list[bytes]]:
        """Run code; return its answer, and the pictures that it drew."""
        value, error = None, ""
        printed = Printed(self._bounds["printed"])
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                with _alarm(seconds):
                    value = self._value_of(code)
                    document, is_cut = self._document(value)
            except BaseException as raised:  # noqa: BLE001 - the code's own, SystemExit included
                document, is_cut, error = None, False, self._told(raised)
            try:
                with _alarm(seconds):
                    drawn = figures.drawn(self._bounds)
            except BaseException as raised:  # noqa: BLE001 - drawing calls what the code has made
                drawn = figures.Drawn()
                error = error or self._told(raised)
            if drawn.error is not None:
                error = error or self._told(drawn.error)
        answer = {
            "value": document,
            "printed": printed.text(),
            "error": error,
            "cut": [
                *(["value"] if is_cut else []),
                *(["printed"] if printed.is_cut else []),
                *(["charts"] if drawn.is_cut else []),
            ],
            "letters": drawn.lacks_font and not self._fonts,
        }
        return answer, drawn.pictures

    def _value_of(self, code: str) -> Any:
        name = f"<code {next(self._count)}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        module = ast.parse(code, name)
        last = module.body[-1] if module.body else None
        if not isinstance(last, ast.Expr):
            exec(compile(module, name, "exec"), self._names)
            return None
        module.body.pop()
        exec(compile(module, name, "exec"), self._names)
        return eval(compile(ast.Expression(last.value), name, "eval"), self._names)

    def _document(self, value: Any) -> tuple[Any, bool]:
        pd = sys.modules.get("pandas")
        rows, most = self._bounds["rows"], self._bounds["answer"]
        while True:
            writer = Writer(self._bounds["items"], self._bounds["printed"])
            cells = Writer(self._bounds["items"], _LETTERS_OF_CELL)
            if pd is not None and isinstance(value, pd.DataFrame):
                document: Any = {"table": tables.table_of(value, rows, cells)}
            elif pd is not None and isinstance(value, pd.Series):
                document = {"series": tables.series_of(value, rows, cells)}
            elif _is_drawing(value):
                document = None
            else:
                document = writer.document(value)
            size = len(json.dumps(document))
            if size <= most:
                return document, writer.is_cut or cells.is_cut or rows < self._bounds["rows"]
            if rows <= 1 or writer.items < self._bounds["items"]:
                return writer.text(repr(type(value))), True
            rows = max(1, min(rows, len(value)) // 2)

    def _told(self, raised: BaseException) -> str:
        if isinstance(raised, TooLong):
            return "TimeoutError: the code ran for longer than it may"
        with contextlib.suppress(BaseException):
            # Without this file's own lines: they are none of the code's.
            shown = raised.with_traceback(_of_the_code(raised.__traceback__))
            lines = "".join(traceback.format_exception(shown)).splitlines()
            return "\n".join(lines[-_LAST_LINES:])[-self._bounds["printed"] :]
        return type(raised).__name__


def _start_arrows_threads() -> None:
    """Have Arrow start the threads that it computes and reads files with, one each, which stay.

    The server counts the threads afterwards: those that come later are the code's own.
    """
    import pyarrow as pa
    from pyarrow import csv

    pa.set_cpu_count(1)
    csv.read_csv(io.BytesIO(b"a\n1\n"))


def _of_the_code(trace: Any) -> Any:
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<code "):
        trace = trace.tb_next
    return trace


def _is_drawing(value: Any) -> bool:
    """Return whether a value is something that matplotlib has drawn: the chart is its value."""
    first = value
    if type(value).__name__ == "ndarray" and value.size:
        first = value.flat[0]
    elif isinstance(value, list | tuple) and value:
        first = value[0]
    module = type(first).__module__
    return module.startswith("matplotlib.") or module.startswith("seaborn.")


def _too_long(*args: Any) -> None:
    raise TooLong


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
