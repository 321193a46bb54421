"""Reads values as they are stored: PostgreSQL's in binary form, SQLite's of whatever type."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..store.isolation import begin_at, is_outermost
from ..tables.database import log_database

# Rows in memory at a time: an event may have several megabytes.
_AT_ONCE = 200
# By connection, the server-side cursors that are open within its snapshot.
_OPEN: WeakKeyDictionary[BaseDatabaseWrapper, set[Any]] = WeakKeyDictionary()
_NAMES = itertools.count()  # Two cursors may be open at once, and their names must differ.


@contextmanager
def snapshot() -> Iterator[None]:
    """Let all reads within the block see the log as it is at one moment, without blocking writers.

    If the caller has a transaction open, that transaction's view applies.
    """
    connection = connections[log_database()]
    with _transaction(connection):
        outer, _OPEN[connection] = _OPEN.get(connection, set()), set()
        try:
            yield
        finally:
            # Do not leave this to garbage collection: by then the server does not know their names
            # any more, and closing an unknown cursor aborts whatever transaction is open.
            for cursor in list(_OPEN[connection]):
                cursor.close()
            _OPEN[connection] = outer


@contextmanager
def _transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    if not is_outermost(connection):
        yield
    elif connection.vendor == "sqlite":
        # Not Django's transaction: a project may have configured that to take the write lock.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic(using=connection.alias):
            begin_at(connection, "REPEATABLE READ READ ONLY")
            yield


def stored(column: str, kind: str) -> str:
    """SQL for a column's value; `kind` is an SQLite type, and '?' replaces values of other types.

    That is for SQLite; PostgreSQL enforces its columns' types. Text is read as bytes, because it
    may not be UTF-8. No value comes straight from the column, because Django converts those.
    """
    if connections[log_database()].vendor == "postgresql":
        return column
    value = f"CAST({column} AS BLOB)" if kind == "text" else f"+{column}"
    return f"CASE typeof({column}) WHEN '{kind}' THEN {value} WHEN 'null' THEN NULL ELSE '?' END"


def read(sql: str) -> Iterator[Any]:
    """Yield rows as Django returns them; for few rows."""
    with connections[log_database()].cursor() as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from rows


def read_many(sql: str) -> Iterator[Any]:
    """Yield any number of rows, within a snapshot; on PostgreSQL through a server-side cursor, in
    binary form."""
    connection = connections[log_database()]
    if connection.vendor == "postgresql":
        return _read_binary(connection, sql)
    return read(sql)


def _read_binary(connection: BaseDatabaseWrapper, sql: str) -> Iterator[Any]:
    still_open = _OPEN[connection]
    with connection.wrap_database_errors:
        cursor = connection.connection.cursor(name=f"turnlog_proof_{next(_NAMES)}", binary=True)
        still_open.add(cursor)
        _as_stored(cursor.adapters)
        cursor.execute(sql)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from rows
        # Not in a `finally`: if the caller stops reading, the garbage collector may get here in the
        # middle of another statement, and closing would wait for that statement's lock. Then the
        # snapshot closes the cursor.
        cursor.close()
        still_open.discard(cursor)


def _as_stored(adapters: Any) -> None:
    """Load text and UUIDs as their bytes, and times as the number they are stored as."""
    as_bytes, as_number = _loaders()
    for name in ("text", "varchar", "uuid"):
        adapters.register_loader(name, as_bytes)
    adapters.register_loader("timestamptz", as_number)


@cache
def _loaders() -> Any:
    # lazy: SQLite needs no psycopg
    from psycopg import adapters
    from psycopg.pq import Format

    of = adapters.types
    return [adapters.get_loader(of[name].oid, Format.BINARY) for name in ("bytea", "int8")]
