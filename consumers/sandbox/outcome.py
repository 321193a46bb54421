"""What goes into a box, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table that a worker has as `df`: a file in Arrow's IPC format, or Parquet.

    `digest` names its content: with a new digest, a conversation gets a new worker.
    """

    path: Path
    digest: str


@dataclass(frozen=True)
class Outcome:
    """What one run of code led to. All of it is the code's word, and untrusted."""

    value: Any = None
    """The value of the last expression: None, bool, int, float, str, a list or dict of these, a
    pandas DataFrame or Series; of any other object, the text that `repr` gives."""
    printed: str = ""
    """What went to standard output and standard error, in their order."""
    charts: tuple[bytes, ...] = ()
    """The figures that the code drew, as PNG."""
    error: str = ""
    """The last lines of the traceback, for the model; empty if the code ran to its end."""
    notice: str = ""
    """One sentence if something was cut, or if the worker was started again; otherwise empty."""
