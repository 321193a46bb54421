"""The tutorial's project on a database: its commands, and its server in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import forked

from .database import Database
from .places import SITE, TUTORIAL, free_port, wait_for_port

_NOT_PASSED_ON = ("OPENAI_", "PG", "SQLITE_", "DJANGO_", "TURNLOG_", "LANGCHAIN_", "LANGSMITH_")


def environment(*given: dict[str, str]) -> dict[str, str]:
    """A process's environment: nothing that chooses another database, model or settings."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_PASSED_ON) and not name.lower().endswith("_proxy")
    }
    ours = {
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "PYTHONPATH": os.pathsep.join([str(TUTORIAL), str(SITE)]),
        "PYTHONUNBUFFERED": "1",
        "SQL_LOG": "WARNING",
    }
    return {**inherited, **ours, **{name: value for more in given for name, value in more.items()}}


BY_NAME: dict[str, Callable[[str, str], list[str]]] = {
    "uvicorn": lambda application, port: [
        *("-m", "uvicorn", application, "--host", "127.0.0.1", "--port", port),
        *("--timeout-graceful-shutdown", "3"),
    ],
    "daphne": lambda application, port: [
        *("-m", "daphne", "-b", "127.0.0.1", "-p", port, "-v", "0", application),
    ],
    "hypercorn": lambda application, port: [
        *("-m", "hypercorn", application, "-b", f"127.0.0.1:{port}"),
    ],
    # Django's own, without WebSockets; the application is of no importance.
    "runserver": lambda application, port: [
        *("manage.py", "runserver", f"127.0.0.1:{port}"),
        *("--noreload", "--insecure"),
    ],
}
"""Python's arguments for each server, from an application and a port."""


class Server:
    """A server with the tutorial's project. It keeps its port when it is started again."""

    def __init__(
        self,
        application: str,
        environment: dict[str, str],
        log: Path,
        by: str = "uvicorn",
        arguments: Sequence[str] = (),
    ) -> None:
        self._application = application
        self._by = by
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self._process: forked.Running | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text(encoding="utf-8")

    @property
    def pid(self) -> int | None:
        """The number of its process, None if it does not run."""
        return None if self._process is None else self._process.pid

    def start(self, application: str | None = None) -> Server:
        self._application = application or self._application
        process = forked.start(
            *BY_NAME[self._by](self._application, str(self.port)),
            *self._arguments,
            folder=TUTORIAL,
            environment=self._environment,
            out=self._log,
        )
        self._process = process
        if not wait_for_port(self.port, lambda: process.poll() is None):
            self.kill()
            raise RuntimeError(f"the server did not start:\n{self.log}")
        return self

    def kill(self) -> None:
        """As if the machine had lost its power."""
        self._end(signal.SIGKILL, 10)

    def terminate(self) -> int:
        """Ask it to stop, as a deployment does, and wait until it has; its exit code."""
        return self._end(signal.SIGTERM, 40)

    def _end(self, how: signal.Signals, seconds: float) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        try:
            process.send_signal(how)
            return process.wait(seconds)
        finally:
            # Its workers end with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@dataclass
class Project:
    """The tutorial's project with a database and a model server."""

    database: Database
    folder: Path
    model: dict[str, str] = field(default_factory=dict)
    _servers: int = 0

    def manage(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a management command; `more` is for its environment."""
        given = environment(self.database.environment, more)
        return forked.run("manage.py", *arguments, folder=TUTORIAL, environment=given)

    @contextlib.contextmanager
    def server(
        self,
        application: str = "mysite.asgi:application",
        *,
        by: str = "uvicorn",
        arguments: Sequence[str] = (),
        tracebacks: bool = False,
        **more: Any,
    ) -> Iterator[Server]:
        """A running server; gone afterwards. `more` is for its environment.

        Fails at the end if the server wrote a traceback, unless `tracebacks` are expected.
        """
        self._servers += 1
        log = self.folder / f"server-{self._servers}.log"
        given = environment(self.database.environment, self.model, more)
        server = Server(application, given, log, by, arguments)
        try:
            yield server.start()
        finally:
            server.kill()
        if "Traceback" in server.log and not tracebacks:
            raise AssertionError(f"the server wrote a traceback:\n{server.log}")
