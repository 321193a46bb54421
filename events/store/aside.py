"""On SQLite: a transaction that has only read steps aside, so that another connection can commit.

Until it does, it has a picture of the database. With a rollback journal, nobody can commit
meanwhile. With a write-ahead log they can, and then this transaction cannot write any more
("database is locked"), however long it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..tables.database import log_database
from .sqlite import begin_writing


@contextmanager
def stepping_aside(elsewhere: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """End this thread's transaction on SQLite if it has only read, and begin it again afterwards.

    `elsewhere` runs a function in another thread, on another connection. Raises an error for which
    `is_lock_timeout` holds if this transaction may have written. Does nothing on PostgreSQL.
    """
    connection = connections[log_database()]
    if connection.vendor != "sqlite" or not connection.connection.in_transaction:
        yield
        return
    # Only one transaction can have written. If another one may write now, it is not this one.
    elsewhere(_write_nothing)
    with connection.wrap_database_errors:
        connection.connection.rollback()
    try:
        yield
    finally:
        _begin_again(connection)


def _write_nothing() -> None:
    with transaction.atomic(using=log_database()):
        begin_writing()
        transaction.set_rollback(True, using=log_database())  # A commit would wait for readers.


def _begin_again(connection: BaseDatabaseWrapper) -> None:
    # On the driver's connection: Django believes that the transaction never ended. One that it
    # knows to be broken runs no statement of its own any more.
    raw: Any = connection.connection
    with connection.wrap_database_errors:
        raw.execute("BEGIN")
        for name in filter(None, connection.savepoint_ids):
            raw.execute(f"SAVEPOINT {connection.ops.quote_name(name)}")
