"""Whether a database error is worth another try."""

from __future__ import annotations

# PostgreSQL's SQLSTATE: connection, resources, locks and rollbacks, an operator's intervention.
# SQLite's codes: busy, locked, out of memory, interrupted, input/output, full, cannot open.
_PASSING_STATES = ("08", "40", "53", "55006", "55P03", "57P", "58")
_PASSING_CODES = {5, 6, 7, 9, 10, 13, 14}


def is_passing(error: Exception) -> bool:
    """Return whether a database error may pass: the statement itself is not at fault."""
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _PASSING_CODES
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(_PASSING_STATES)


def is_lock_timeout(error: Exception) -> bool:
    """Return whether a lock could not be taken in time (PostgreSQL, SQLSTATE 55P03)."""
    return getattr(error.__cause__, "sqlstate", None) == "55P03"
