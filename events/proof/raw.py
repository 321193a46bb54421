"""Values as they are stored: in PostgreSQL's binary form, in SQLite's of whatever kind they are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..tables.database import log_database

# Rows in memory at a time: an event may have some megabytes.
_AT_ONCE = 200
# Of each connection, the server's cursors that are open within its snapshot.
_OPEN: WeakKeyDictionary[BaseDatabaseWrapper, set[Any]] = WeakKeyDictionary()
_NAMES = itertools.count()  # Two may be open at once, and their names must differ.


@contextmanager
def snapshot() -> Iterator[None]:
    """Reads within it see the log as it is at one moment; nobody waits for it, and it for nobody.

    Within a transaction of the caller's it is that one's.
    """
    connection = connections[log_database()]
    with _transaction(connection):
        outer, _OPEN[connection] = _OPEN.get(connection, set()), set()
        try:
            yield
        finally:
            # Not when they are collected: by then their names are unknown, and to close what is
            # unknown ends whatever transaction there is.
            for cursor in list(_OPEN[connection]):
                cursor.close()
            _OPEN[connection] = outer


@contextmanager
def _transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        # Not Django's transaction, which a project may have set to take the only writer's place.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield


def stored(column: str, kind: str) -> str:
    """SQL for a column's value, whose kind is one of SQLite's: '?' for what is of another one.

    On SQLite, that is; PostgreSQL knows what a column holds. Text as bytes, for it may not be
    UTF-8; and never straight from the column, for Django converts what comes from there.
    """
    if connections[log_database()].vendor == "postgresql":
        return column
    value = f"CAST({column} AS BLOB)" if kind == "text" else f"+{column}"
    return f"CASE typeof({column}) WHEN '{kind}' THEN {value} WHEN 'null' THEN NULL ELSE '?' END"


def read(sql: str) -> Iterator[Any]:
    """Few rows, as Django gives them."""
    with connections[log_database()].cursor() as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from rows


def read_many(sql: str) -> Iterator[Any]:
    """Any number of rows, within a snapshot: on PostgreSQL by a cursor of the server's, in its
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
        # Not where a reading is given up. That may be seen by the collector only, in the middle of
        # another statement, and closing would wait for that one's lock: the snapshot closes it.
        cursor.close()
        still_open.discard(cursor)


def _as_stored(adapters: Any) -> None:
    """Have text and UUIDs come as their bytes, and times as the number they are stored as."""
    as_bytes, as_number = _loaders()
    for name in ("text", "varchar", "uuid"):
        adapters.register_loader(name, as_bytes)
    adapters.register_loader("timestamptz", as_number)


@cache
def _loaders() -> Any:
    from psycopg import adapters
    from psycopg.pq import Format

    of = adapters.types
    return [adapters.get_loader(of[name].oid, Format.BINARY) for name in ("bytea", "int8")]
