"""The triggers by which the database refuses to change the log; see sql/."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core import checks
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from .models import Event

# Tables that are only added to, and what tells a row of theirs from the others. The log's own has
# one exception, erasure, and hence triggers of its own.
_PLAIN_TABLES = {
    "turnlog_position": "position = NEW.position"
    " OR (stream_id = NEW.stream_id AND version = NEW.version)",
    "turnlog_tile": "id = NEW.id OR (level = NEW.level AND number = NEW.number)",
    "turnlog_signed_checkpoint": "id = NEW.id",
}
_TABLES = ("turnlog_event", *_PLAIN_TABLES)
TRIGGERS = {
    "postgresql": {f"{table}_{on}" for table in _TABLES for on in ("update", "delete", "truncate")},
    "sqlite": {f"{table}_{on}" for table in _TABLES for on in ("insert", "update", "delete")},
}


def install_triggers(connection: BaseDatabaseWrapper) -> None:
    """Create what is missing. Does nothing on databases that turnlog does not support."""
    if connection.vendor not in TRIGGERS:
        return  # A system check has said so.
    script = _script(connection.vendor)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for statement in _statements(script):
                cursor.execute(statement)
        else:
            # Not left to the search_path of whoever fires the trigger later.
            cursor.execute("SELECT quote_ident(current_schema())")
            cursor.execute(script.replace("{schema}", cursor.fetchone()[0]))


def _script(vendor: str) -> str:
    folder = Path(__file__).parent / "sql"
    plain = (folder / f"{vendor}-table.sql").read_text()
    scripts = [(folder / f"{vendor}.sql").read_text()]
    for table, same in _PLAIN_TABLES.items():
        scripts.append(plain.replace("{table}", table).replace("{same}", same))
    return "".join(scripts)


def missing_triggers(connection: BaseDatabaseWrapper) -> set[str]:
    """Names of the triggers that should be there, enabled, and are not."""
    if connection.vendor not in TRIGGERS:
        return set()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        else:
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = ANY (%s::regclass[])"
                " AND tgenabled IN ('O', 'A')",
                [list(_TABLES)],
            )
        return TRIGGERS[connection.vendor] - {name for (name,) in cursor.fetchall()}


@contextmanager
def triggers_suspended(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let a *test* database be flushed. `turnlog.events.testing` guards the call."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for name in TRIGGERS["sqlite"]:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        else:
            for table in _TABLES:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    try:
        yield
    finally:
        if connection.vendor == "sqlite":
            install_triggers(connection)
        else:
            with connection.cursor() as cursor:
                for table in _TABLES:
                    cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def install_after_migrate(*, using: str, **kwargs: Any) -> None:
    """Receiver of post_migrate of this app."""
    connection = connections[using]
    if Event._meta.db_table in connection.introspection.table_names():
        install_triggers(connection)


def check_triggers(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """turnlog.E003: the database would let somebody change the log."""
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if not router.allow_migrate(alias, "turnlog_events"):
            continue
        if Event._meta.db_table not in connection.introspection.table_names():
            continue  # Not migrated yet.
        if missing := missing_triggers(connection):
            found.append(
                checks.Error(
                    f"database {alias!r} lacks triggers that keep the log append-only:"
                    f" {', '.join(sorted(missing))}",
                    hint="Run `manage.py migrate turnlog_events`: it installs them again.",
                    id="turnlog.E003",
                )
            )
    return found


def _statements(script: str) -> Iterator[str]:
    """A SQLite script's statements; a trigger's own semicolons do not end it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
