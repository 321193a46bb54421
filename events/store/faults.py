"""What a database error says: whether to try again."""

from __future__ import annotations

# Of PostgreSQL's SQLSTATE: connection, resources, locks and rollbacks, the operator's hand. Of
# SQLite's codes: busy, locked, out of memory, interrupted, input/output, full, cannot open.
_PASSING_STATES = ("08", "40", "53", "55006", "55P03", "57P", "58")
_PASSING_CODES = {5, 6, 7, 9, 10, 13, 14}


def is_passing(error: Exception) -> bool:
    """Whether a database error may well be over the next time: it is not about what was asked."""
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _PASSING_CODES
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(_PASSING_STATES)


def is_lock_timeout(error: Exception) -> bool:
    """Whether a lock was not to be had in time (PostgreSQL, SQLSTATE 55P03)."""
    return getattr(error.__cause__, "sqlstate", None) == "55P03"
