"""A turn's start and end are committed when they return, also within a caller's transaction.

The person's words must be in the log before a model is asked, and a request may hold a transaction
around all of it (ATOMIC_REQUESTS). Then they are committed on a connection of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, OperationalError, connections

from ..core import retrying
from ..core.asynchronous import in_own_thread
from ..core.errors import TransactionInTheWay
from ..core.faults import is_lock_timeout, is_missing_reference
from .store.aside import stepping_aside
from .store.isolation import is_outermost
from .tables.conversation import rows
from .tables.database import log_database

R = TypeVar("R")


def is_within_callers_transaction() -> bool:
    """Return whether what is written now is committed only when the caller's transaction is.

    A test case's transaction does not count: it stands for the whole database.
    """
    connection = connections[log_database()]
    if is_outermost(connection):
        return False
    return not any(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def durably(stream_id: int, what: str, write: Callable[[], R]) -> R:
    """Write to a conversation so that it is committed when this returns.

    `what` is the operation, for the error. Raises TransactionInTheWay if the caller's transaction
    has changed the conversation, or created it or the user; or, on SQLite, has written anything or
    has the right to.
    """
    if not is_within_callers_transaction():
        return write()

    def write_if_it_is_there() -> R:
        if not rows().filter(pk=stream_id).exists():
            raise TransactionInTheWay(stream_id, what)
        return write()

    pauses = retrying.ASIDE.pauses()
    while True:
        try:
            with stepping_aside(in_own_thread):
                return in_own_thread(write_if_it_is_there)
        except OperationalError as error:
            pause = next(pauses, None)
            if not is_lock_timeout(error):
                raise
            if pause is None:
                raise TransactionInTheWay(stream_id, what) from error
        except IntegrityError as error:
            # The user was created in the caller's transaction.
            if not is_missing_reference(error):
                raise
            raise TransactionInTheWay(stream_id, what) from error
        time.sleep(pause)
