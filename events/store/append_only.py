"""The triggers by which the database refuses to change the log; see sql/."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from django.core import checks
from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..tables.event import Event
from ..types import NEVER_ERASED

# Tables that only grow, and the condition that finds a row with the same key. The other tables
# have exceptions, such as erasure, so each has its own triggers.
_PLAIN_TABLES = {
    "turnlog_position": "position = NEW.position"
    " OR (stream_id = NEW.stream_id AND version = NEW.version)",
    "turnlog_tile": "id = NEW.id OR (level = NEW.level AND number = NEW.number)",
    "turnlog_signed_checkpoint": "id = NEW.id",
}
GUARDED = (
    *("turnlog_event", "turnlog_conversation", "turnlog_actor", "turnlog_content"),
    *("turnlog_blob", "turnlog_blob_use", "turnlog_pending", *_PLAIN_TABLES),
)
"""The tables that the log needs: nothing empties them, and what is in them stays."""

# What refers to another table: SQLite could not rename that one while the trigger is there.
_ACROSS = (
    *("turnlog_conversation_stream", "turnlog_actor_delete", "turnlog_pending_delete"),
    *("turnlog_blob_delete", "turnlog_blob_use_delete"),
)


def install_triggers(connection: BaseDatabaseWrapper) -> None:
    """Create triggers that are missing or differ; do nothing on an unsupported database."""
    wrong = unguarded(connection)
    if not wrong:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for name, definition in _definitions("sqlite").items():
                if name in wrong:
                    cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
                    cursor.execute(definition)
        else:
            cursor.execute(_script("postgresql").replace("{schema}", _schema(cursor)))


def unguarded(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """Return the missing, disabled or changed triggers: their names, and what was found instead."""
    if connection.vendor not in ("postgresql", "sqlite"):
        return {}  # A system check reports it.
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            found = {name: _plain(definition) for name, definition in cursor.fetchall()}
            expected = _definitions("sqlite")
        else:
            found = _found_on_postgresql(cursor)
            schema = _schema(cursor)
            expected = {
                name: definition.replace("{schema}", schema)
                for name, definition in _definitions("postgresql").items()
            }
    return {
        name: "no such trigger" if name not in found else _instead(found[name])
        for name, definition in sorted(expected.items())
        if found.get(name) != _plain(definition)
    }


# A trigger with its table, and the function that it calls. Schemas are compared too: a function of
# the same name may be elsewhere.
_ON_POSTGRESQL = """
    SELECT t.tgname, t.tgenabled IN ('O', 'A'), pg_get_triggerdef(t.oid),
        quote_ident(tn.nspname), quote_ident(fn.nspname), p.proname, p.prosrc, p.proconfig,
        l.lanname, p.prosecdef
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace fn ON fn.oid = p.pronamespace
    JOIN pg_language l ON l.oid = p.prolang
    WHERE t.tgrelid = ANY (%s::regclass[]) AND NOT t.tgisinternal
"""
_DISABLED = "a disabled one"


def _found_on_postgresql(cursor: Any) -> dict[str, str]:
    cursor.execute(_ON_POSTGRESQL, [list(GUARDED)])
    found = {}
    for name, enabled, definition, of_table, of_function, function, *body in cursor.fetchall():
        source, settings, language, definer = body
        if not enabled:
            found[name] = _DISABLED
            continue
        # pg_get_triggerdef() names a schema only where it must.
        called = f"{of_function}.{function}"
        definition = re.sub(
            r" ON (?:(?:\w+|\"[^\"]+\")\.)?(?=turnlog_)", f" ON {of_table}.", definition
        )
        definition = re.sub(r"EXECUTE FUNCTION .*\(\)$", f"EXECUTE FUNCTION {called}()", definition)
        fixed = "; ".join(setting.replace("=", " = ", 1) for setting in settings or ())
        how = f"LANGUAGE {language} SET {fixed}{' SECURITY DEFINER' if definer else ''}"
        found[name] = _plain(f"{definition} {how} {source}")
    return found


def _instead(found: str) -> str:
    return found if found == _DISABLED else "another one"


def _schema(cursor: Any) -> str:
    """The schema of the log's tables, quoted: the session's search_path may name others first."""
    cursor.execute(
        "SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n"
        " ON n.oid = c.relnamespace WHERE c.oid = 'turnlog_event'::regclass"
    )
    [schema] = cursor.fetchone()
    return str(schema)


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
        return {statement.split()[2]: statement.strip() for statement in _statements(script)}
    functions = re.findall(
        r"FUNCTION {schema}\.(\w+)\(\) RETURNS trigger\s+(.*?) AS \$\$(.*?)\$\$", script, re.DOTALL
    )
    sources = {name: f" {how} {source}" for name, how, source in functions}
    triggers = re.findall(r"(CREATE OR REPLACE TRIGGER (\w+)\s.*?(\w+)\(\));", script, re.DOTALL)
    return {name: definition + sources[function] for definition, name, function in triggers}


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


def trigger_names(vendor: str) -> frozenset[str]:
    """Return the names of turnlog's own triggers on the tables that the log needs."""
    return frozenset(_definitions(vendor))


def _plain(definition: str) -> str:
    """Return a definition without line ends and "OR REPLACE", which do not matter."""
    definition = re.sub(r"\bOR REPLACE\b", "", definition)
    return " ".join(definition.split()).removesuffix(";")


@contextmanager
def triggers_suspended(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Allow flushing a *test* database. `turnlog.events.testing` guards the call."""
    if connection.vendor == "sqlite":
        _drop(connection, trigger_names("sqlite"))
    else:
        _switch(connection, "DISABLE")
    try:
        yield
    finally:
        if connection.vendor == "sqlite":
            install_triggers(connection)
        else:
            _switch(connection, "ENABLE")


def _drop(connection: BaseDatabaseWrapper, names: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def _switch(connection: BaseDatabaseWrapper, how: str) -> None:
    # In a transaction, foreign keys may still wait to be checked, and then no table is altered.
    connection.check_constraints()
    with connection.cursor() as cursor:
        for table in GUARDED:
            cursor.execute(f"ALTER TABLE {table} {how} TRIGGER USER")


def install_after_migrate(*, using: str, **kwargs: Any) -> None:
    """Receiver of post_migrate of this app."""
    connection = connections[using]
    if Event._meta.db_table in connection.introspection.table_names():
        install_triggers(connection)
        _move_numbers_on(connection)


def make_way_for_migrations(*, using: str, plan: Any = (), **kwargs: Any) -> None:
    """Receiver of pre_migrate of this app: SQLite renames no table that other triggers name.

    `install_after_migrate` creates the triggers again.
    """
    connection = connections[using]
    if plan and connection.vendor == "sqlite":
        _drop(connection, _ACROSS)


_NUMBERS = {
    "postgresql": """
        SELECT setval(sequence, last) FROM (
            SELECT pg_get_serial_sequence('turnlog_conversation', 'id')::regclass AS sequence,
                (SELECT max(stream_id) FROM turnlog_event) AS last) numbers
        WHERE last > coalesce(pg_sequence_last_value(sequence), 0)
    """,
    "sqlite": """
        INSERT INTO sqlite_sequence (name, seq)
        SELECT 'turnlog_conversation', last FROM (SELECT max(stream_id) AS last FROM turnlog_event)
        WHERE last > coalesce(
            (SELECT max(seq) FROM sqlite_sequence WHERE name = 'turnlog_conversation'), 0)
    """,
}


_ONE_NUMBER = """
    DELETE FROM sqlite_sequence WHERE name = 'turnlog_conversation'
    AND seq < (SELECT max(seq) FROM sqlite_sequence WHERE name = 'turnlog_conversation')
"""


def _move_numbers_on(connection: BaseDatabaseWrapper) -> None:
    """Let new conversations get numbers that no event has, whatever became of the sequence."""
    if connection.vendor not in _NUMBERS:
        return
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(_NUMBERS[connection.vendor])
        if connection.vendor == "sqlite":
            # That table has no key: of two rows of one name, the lower one goes.
            cursor.execute(_ONE_NUMBER)


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
            # What a migration of SQLite's has dropped, and did not live to create again, must not
            # keep the next one from running.
            dropped = connection.vendor == "sqlite" and wrong.keys() <= set(_ACROSS)
            found.append(
                (checks.Warning if dropped else checks.Error)(
                    f"database {alias!r} lacks triggers that keep the log append-only:"
                    f" {', '.join(wrong)}",
                    # Without it, this very check keeps the command from running.
                    hint="Run `manage.py migrate turnlog_events --skip-checks`: it installs them"
                    " again.",
                    id="turnlog.E003",
                )
            )
    return found
