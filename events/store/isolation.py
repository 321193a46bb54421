"""Transactions of turnlog's own run at READ COMMITTED, whatever the connection's level is.

turnlog takes a lock and then reads, in a statement of its own, what others committed while it
waited. At REPEATABLE READ and SERIALIZABLE that statement sees the database as it was before the
wait: a fork would copy words that were erased meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core import checks
from django.db import DatabaseError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...core.errors import IsolationRefused

READ_COMMITTED = "read committed"
CURRENT = "current_setting('transaction_isolation')"

# Databases of this process whose transactions begin at another level, as an append has noticed.
_other: set[str] = set()


def is_outermost(connection: BaseDatabaseWrapper) -> bool:
    """Whether a transaction that begins now is a separate one, not a part of the caller's."""
    return not connection.in_atomic_block and connection.get_autocommit()


def begin_at(connection: BaseDatabaseWrapper, level: str) -> None:
    """Set the level of a transaction that has just begun. It ends with the transaction, so no pool
    and no later user sees it."""
    # Not by connection.cursor(): a project's engine may run a statement of its own there, such as
    # one that chooses a schema, and PostgreSQL takes a level only before the first one.
    raw = connection.connection.cursor()
    make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with make(raw) as cursor:
        cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")


@contextmanager
def locking(using: str) -> Iterator[None]:
    """Open a transaction, or a savepoint of the caller's, that may lock first and read then.

    Raises IsolationRefused if the caller's transaction is at another level than READ COMMITTED.
    """
    connection = connections[using]
    outermost = is_outermost(connection)
    with transaction.atomic(using=using):
        if connection.vendor == "postgresql":
            if outermost:
                begin_at(connection, READ_COMMITTED)
            else:
                with connection.cursor() as cursor:
                    cursor.execute(f"SELECT {CURRENT}")
                    require_read_committed(using, cursor.fetchone()[0])
        yield


@contextmanager
def appending(using: str) -> Iterator[None]:
    """The same for an append, which finds out its level in its first statement anyway.

    So the level is set only in databases where an append has found another one.
    """
    connection = connections[using]
    outermost = is_outermost(connection)
    with transaction.atomic(using=using):
        if outermost and using in _other:
            begin_at(connection, READ_COMMITTED)
        yield


def require_read_committed(using: str, level: str) -> None:
    """Raise IsolationRefused if a transaction's level is another one."""
    if level != READ_COMMITTED:
        raise IsolationRefused(using, level)


def note_other(using: str) -> None:
    """Remember that this database's transactions begin at another level."""
    _other.add(using)


def check_isolation(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """turnlog.W005: transactions of the project's own are not at READ COMMITTED."""
    found: list[checks.CheckMessage] = []
    for alias in connections:
        connection = connections[alias]
        if connection.vendor != "postgresql" or not router.allow_migrate(alias, "turnlog_events"):
            continue
        level = _level(connection, ask=alias in (databases or ()))
        if level != READ_COMMITTED:
            found.append(
                checks.Warning(
                    f"database {alias!r} begins transactions at the isolation level"
                    f" {level.upper()}; turnlog's own run at READ COMMITTED, and in a transaction"
                    " of yours it refuses to write at any other level",
                    hint="Leave `isolation_level` out of the database's OPTIONS and its default"
                    " as it is, or call turnlog outside of your transactions (also of those that"
                    " ATOMIC_REQUESTS opens).",
                    id="turnlog.W005",
                )
            )
    return found


def _level(connection: BaseDatabaseWrapper, *, ask: bool) -> str:
    options = connection.settings_dict.get("OPTIONS") or {}
    if (given := options.get("isolation_level")) is not None:
        from psycopg import IsolationLevel  # lazy: SQLite needs no psycopg

        return IsolationLevel(given).name.replace("_", " ").lower()
    if not ask:
        return READ_COMMITTED
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW default_transaction_isolation")
            return str(cursor.fetchone()[0])
    except DatabaseError:
        return READ_COMMITTED  # Other checks report a database that cannot be reached.
