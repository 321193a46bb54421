"""Whether an error is worth another try."""

from __future__ import annotations

from django.db import Error, InterfaceError, OperationalError


class Busy(OperationalError):
    """A lock of this process's own is held for longer than the caller waits."""


# PostgreSQL's SQLSTATE: connection, resources, locks and rollbacks, an operator's intervention, and
# 25006: a server that takes no writes, such as a standby before its promotion.
# SQLite's codes: busy, locked, out of memory, interrupted, input/output, full, cannot open.
_PASSING_STATES = ("08", "25006", "40", "53", "55006", "55P03", "57P", "58")
_PASSING_CODES = {5, 6, 7, 9, 10, 13, 14}


def is_passing(error: BaseException) -> bool:
    """Return whether an error is a database's and may pass: the statement itself is not at fault.

    Whatever turnlog tries again, it tries again because of this answer.
    """
    if not isinstance(error, Error):
        return False
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _PASSING_CODES
    state = getattr(cause, "sqlstate", None)
    if state is None:  # The connection's own trouble, or a value that the driver refused.
        return isinstance(error, OperationalError | InterfaceError)
    return bool(state.startswith(_PASSING_STATES))


def is_lock_timeout(error: BaseException) -> bool:
    """Return whether a lock could not be taken in time: 55P03 of PostgreSQL, SQLite's "busy"."""
    if isinstance(error, Busy):
        return True
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    return getattr(cause, "sqlstate", None) == "55P03" or (code is not None and code & 0xFF == 5)


def is_missing_reference(error: BaseException) -> bool:
    """Return whether PostgreSQL found no row that another one refers to, or does not see it yet."""
    return getattr(error.__cause__, "sqlstate", None) == "23503"
