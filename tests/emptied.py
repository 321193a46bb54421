"""Empties the database after a test that commits, in a third of Django's time.

Django truncates all tables and makes permissions and content types again. This deletes the rows of
those that have some, and leaves permissions and content types, which no test changes. As with
Django, numbers go on where they were.
"""

from __future__ import annotations

from typing import Any

from django.core.management.color import no_style
from django.db import connections
from django.test import TransactionTestCase

from turnlog.events.store import append_only
from turnlog.projections.apps import _after_migrate

_LEFT = {"django_content_type", "auth_permission", "django_migrations"}
# Deleted rows remain in PostgreSQL's files: a table that has become large is truncated.
_LARGE = 2**20


def empty_after_commits() -> None:
    """Replace what TransactionTestCase, and so pytest-django, does after each test."""

    def teardown(self: Any) -> None:
        for alias in self._databases_names(include_mirrors=False):
            empty(connections[alias])

    # Django's stubs leave out what is not public.
    TransactionTestCase._fixture_teardown = teardown  # type: ignore[attr-defined]


def empty(connection: Any) -> None:
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = sorted(set(names) - _LEFT)
    asked = " UNION ALL ".join(f"SELECT '{t}' WHERE EXISTS (SELECT 1 FROM {t})" for t in tables)
    with connection.cursor() as cursor:
        cursor.execute(asked)
        filled = [table for (table,) in cursor.fetchall()]
    if connection.vendor == "postgresql":
        _empty_postgresql(connection, filled)
    else:
        with append_only.triggers_suspended(connection):
            _flush(connection, filled)
    # What turnlog does after each migration: rows of its own, and triggers that a test dropped.
    append_only.install_after_migrate(using=connection.alias)
    _after_migrate(using=connection.alias)


def _empty_postgresql(connection: Any, filled: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) name WHERE pg_relation_size(name::regclass) > %s",
            [filled, _LARGE],
        )
        large = [table for (table,) in cursor.fetchall()]
        # Without triggers: the log's, and the system's, which check foreign keys.
        cursor.execute("SET session_replication_role = replica")
        _flush(connection, large)
        for table in filled:
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("SET session_replication_role = DEFAULT")


def _flush(connection: Any, tables: list[str]) -> None:
    statements = connection.ops.sql_flush(no_style(), tables, allow_cascade=True)
    connection.ops.execute_sql_flush(statements)
