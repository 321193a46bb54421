"""Python programs, started from a process that has imported the large libraries once.

A server or a command of the tutorial's project imports for more than a second before it does
anything, and the tests start hundreds of them. Each is a process of its own, and knows nothing of
the tests: its arguments, folder, environment, import path and files are those it would have had.

An interpreter of its own is started for options that only it has, and while coverage is measured,
which begins with it.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import random
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

_IMPORTED = (
    *("asyncio", "langchain_openai", "openai.resources.chat.completions", "uvicorn", "uvloop"),
    *("uvicorn.lifespan.on", "uvicorn.protocols.http.httptools_impl", "websockets.legacy.server"),
    *("channels.auth", "channels.routing", "channels.generic.websocket", "twisted.internet.tcp"),
    *("django.core.handlers.asgi", "django.core.management", "django.contrib.admin.options"),
    *("django.db.backends.sqlite3.base", "django.db.backends.postgresql.base"),
    *("django.template.defaultfilters", "markdown_it", "nh3", "PIL.Image", "pygments.lexers"),
)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([*_IMPORTED])


class Running(Protocol):
    """What is used of subprocess.Popen."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float) -> int: ...
    def send_signal(self, number: signal.Signals) -> None: ...


def start(
    *arguments: str, folder: Path, environment: dict[str, str], out: Path, err: Path | None = None
) -> Running:
    """Start Python with arguments, as its command line has them, in a session of its own.

    What it writes is appended to files; without `err`, all of it to one.
    """
    options = arguments[0].startswith("-") and arguments[0] != "-m"
    if options or "COVERAGE_PROCESS_CONFIG" in os.environ:
        with out.open("ab") as stdout, (err or out).open("ab") as stderr:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
    return _Forked(arguments, folder, environment, out, err or out)


def run(
    *arguments: str, folder: Path, environment: dict[str, str], timeout: float = 180
) -> subprocess.CompletedProcess[str]:
    """Run Python as `start` does, and wait for its end. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryDirectory() as files:
        out, err = Path(files, "out"), Path(files, "err")
        process = start(*arguments, folder=folder, environment=environment, out=out, err=err)
        try:
            code = process.wait(timeout)
        except BaseException:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            raise
        written = out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
    return subprocess.CompletedProcess(list(arguments), code, *written)


class _Forked:
    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        out: Path,
        err: Path,
    ) -> None:
        self._process = _context.Process(
            target=_become, args=(list(arguments), str(folder), environment, str(out), str(err))
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _become(
    arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str
) -> None:
    """In the new process: be what an interpreter with these arguments would have been."""
    os.setsid()
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
        (2, err, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
    ):
        os.dup2(os.open(path, flags, 0o644), number)
    sys.stdin = os.fdopen(0, closefd=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    # A file that is written twice within a second must be compiled twice.
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    os.chdir(folder)
    random.seed()
    module = arguments[0] == "-m"
    begin = folder if module else str(Path(folder, arguments[0]).resolve().parent)
    given = [each for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each]
    own = [each for each in sys.path if each.startswith((sys.base_prefix, sys.prefix))]
    sys.path[:] = [begin, *given, *own]
    try:
        if module:
            sys.argv[:] = arguments[1:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv[:] = arguments
            runpy.run_path(arguments[0], run_name="__main__")
    finally:
        # A process of multiprocessing leaves them out.
        atexit._run_exitfuncs()
