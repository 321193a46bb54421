"""The PostgreSQL servers of a test run."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg


def start(binaries: Path) -> str:
    """The URI of a new, empty server; `binaries` is a folder with initdb and pg_ctl.

    It listens on a socket only, and stops when this process ends.
    """
    # Of its own, below no other folder of the run: the server's user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="turnlog-postgresql-"))
    data = folder / "data"
    run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        shutil.chown(folder, "nobody")
        run |= {"user": "nobody", "extra_groups": []}
    subprocess.run(
        [
            *(binaries / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        ],
        **run,
    )
    control = [binaries / "pg_ctl", "--pgdata", data, "--wait"]
    options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
    subprocess.run([*control, f"--log={folder / 'log'}", "--options", options, "start"], **run)

    def stop() -> None:
        subprocess.run([*control, "--mode=immediate", "stop"], **{**run, "check": False})
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return f"postgresql://postgres@/postgres?host={folder}"


def forget_the_disk(uri: str) -> None:
    """Let a server lose everything if the machine loses its power, and so be faster."""
    with psycopg.connect(uri, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
