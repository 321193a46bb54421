"""A worker's life: it confines itself, tries to get out, says what it found, and runs code."""

from __future__ import annotations

import ctypes.util
import os
import sys
from typing import Any

from .attempts import open_doors
from .confining import Unconfined, confine
from .imports import Absent
from .pipe import Closed, Pipe
from .session import Session

ENVIRONMENT = {
    "HOME": "{home}",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "{home}",
    "TMPDIR": "{home}",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "NUMEXPR_MAX_THREADS": "1",
    "ARROW_IO_THREADS": "1",
}
"""The whole environment: libraries with one thread each, and folders that they may write to."""


def main() -> None:
    """Serve until the server closes the pipe."""
    pipe = Pipe()
    try:
        _serve(pipe, pipe.receive())
    except Closed:
        # Not by SystemExit: the code may have left functions to be called at the end.
        os._exit(0)


def _serve(pipe: Pipe, setup: dict[str, Any]) -> None:
    # It would start ldconfig and a compiler to find the C library that Python is linked with.
    vars(ctypes.util)["find_library"] = lambda name: None
    sys.path += setup["paths"]
    sys.meta_path.insert(0, Absent(setup["paths"], setup["readable"]))
    os.environ.clear()
    os.environ.update({k: v.format(home=setup["home"]) for k, v in ENVIRONMENT.items()})
    try:
        confine(setup)
    except Unconfined as error:
        pipe.send({"ready": False, "why": str(error)})
        return
    tries = {**setup, "environment": list(ENVIRONMENT)}
    doors = open_doors(tries) if setup["tries"] else []
    if setup["probe"]:
        pipe.send({"ready": True, "open": doors})
        return
    session = Session(setup["bounds"], setup["fonts"])
    pipe.send({"ready": True, "open": doors})
    os.dup2(0, 2)
    while True:
        message = pipe.receive()
        if message["do"] == "load":
            pipe.send({"loaded": _load(session, pipe.receive_part())})
        else:
            answer, pictures = session.run(message["code"], message["seconds"])
            pipe.send({**answer, "call": message["call"]}, pictures)


def _load(session: Session, content: bytes) -> str:
    """Return what was wrong with a table; empty if it is loaded."""
    try:
        session.load(content)
    except Exception as error:  # noqa: BLE001 - whatever a broken table makes its reader raise
        return f"{type(error).__name__}: {error}"[:500]
    return ""
