"""Looking for a word in all that a database holds, and for what does not verify."""

from __future__ import annotations

from typing import Any

from django.db import connection


def places_of(word: str) -> list[tuple[str, str]]:
    """(table, column) of every column of every table that holds the word."""
    return [
        (table, column)
        for table in _tables()
        for column, values in _columns(table)
        if any(_holds(value, word) for value in values)
    ]


def _tables() -> list[str]:
    # Those of Django, of the projects and of SQLite's text index as well.
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return sorted(name.removeprefix("public.") for (name,) in cursor.fetchall())


def _columns(table: str) -> list[tuple[str, list[Any]]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    return [(name, [row[number] for row in rows]) for number, name in enumerate(names)]


def _holds(value: Any, word: str) -> bool:
    if isinstance(value, bytes | memoryview):
        return word.encode() in bytes(value)
    return word in str(value)


def problems() -> list[str]:
    """What does not verify in the log."""
    from turnlog.events.proof.verification import Verifier

    return [str(problem) for problem in Verifier().whole()]
