"""The triggers by which the database refuses to change the log; see sql/."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from django.core import checks
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from ..tables.event import Event
from ..types import NEVER_ERASED

# Tables that only grow, and the condition that finds a row with the same key. The log's own table
# has an exception, erasure, so it has its own triggers.
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
    """Create triggers that are missing or differ; do nothing on an unsupported database."""
    if connection.vendor not in TRIGGERS:
        return  # A system check reports it.
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            wrong = unguarded(connection)
            for name, definition in _definitions("sqlite").items():
                if name in wrong:
                    cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
                    cursor.execute(definition)
        else:
            # Name the schema: the session that fires the trigger may have another search_path.
            cursor.execute("SELECT quote_ident(current_schema())")
            cursor.execute(_script("postgresql").replace("{schema}", cursor.fetchone()[0]))


def unguarded(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """Return the missing, disabled or changed triggers: their names, and what was found instead."""
    if connection.vendor not in TRIGGERS:
        return {}
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        else:
            # A trigger and the function that it calls.
            cursor.execute(
                "SELECT t.tgname, pg_get_triggerdef(t.oid) || p.prosrc FROM pg_trigger t"
                " JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = ANY (%s::regclass[])"
                " AND t.tgenabled IN ('O', 'A')",
                [list(_TABLES)],
            )
        found = {name: _plain(definition) for name, definition in cursor.fetchall()}
    expected = _definitions(connection.vendor)
    return {
        name: "another one" if name in found else "no such trigger"
        for name in sorted(TRIGGERS[connection.vendor])
        if found.get(name) != _plain(expected[name])
    }


def _script(vendor: str) -> str:
    folder = Path(__file__).parent / "sql"
    plain = (folder / f"{vendor}-table.sql").read_text()
    never_erased = ", ".join(f"'{name}'" for name in NEVER_ERASED)
    script = (folder / f"{vendor}.sql").read_text().replace("{never_erased}", never_erased)
    scripts = [script]
    for table, same in _PLAIN_TABLES.items():
        scripts.append(plain.replace("{table}", table).replace("{same}", same))
    return "".join(scripts)


@cache
def _definitions(vendor: str) -> dict[str, str]:
    """Return trigger definitions by name; on PostgreSQL, the function's source follows each."""
    script = _script(vendor)
    if vendor == "sqlite":
        named = {statement.split()[2]: statement.strip() for statement in _statements(script)}
        return named
    sources = dict(
        re.findall(r"FUNCTION {schema}\.(\w+)\(\).*?AS \$\$(.*?)\$\$", script, re.DOTALL)
    )
    triggers = re.findall(r"(CREATE OR REPLACE TRIGGER (\w+) .*?(\w+)\(\));", script, re.DOTALL)
    return {name: definition + sources[function] for definition, name, function in triggers}


def _plain(definition: str) -> str:
    """Return a definition without line ends, schemas and "OR REPLACE", which do not matter."""
    definition = re.sub(r"\bOR REPLACE\b", "", definition)
    definition = re.sub(r'(?:"[^"]+"|{?\w+}?)\.(?=turnlog_)', "", definition)
    return " ".join(definition.replace("()", "() ").split()).removesuffix(";")


@contextmanager
def triggers_suspended(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Allow flushing a *test* database. `turnlog.events.testing` guards the call."""
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
    """turnlog.E003: the database does not stop changes to the log."""
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if not router.allow_migrate(alias, "turnlog_events"):
            continue
        if Event._meta.db_table not in connection.introspection.table_names():
            continue  # Not migrated yet.
        if wrong := unguarded(connection):
            found.append(
                checks.Error(
                    f"database {alias!r} lacks triggers that keep the log append-only:"
                    f" {', '.join(wrong)}",
                    hint="Run `manage.py migrate turnlog_events`: it installs them again.",
                    id="turnlog.E003",
                )
            )
    return found


def _statements(script: str) -> Iterator[str]:
    """Yield a SQLite script's statements; the semicolons within a trigger do not end it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        if not statement and not line.startswith("CREATE"):
            continue  # A comment.
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
