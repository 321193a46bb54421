"""Checks the reason of an erasure or a hold, which stays in the log permanently."""

from __future__ import annotations

from typing import Any

from ...core.errors import ReasonRefused

LONGEST = 500
"""Maximum characters: enough to refer to a request, not for the request itself."""


def require_reason(reason: Any) -> str:
    """Return the reason. Raises ReasonRefused if it is empty, too long, or not plain text."""
    if not isinstance(reason, str) or not reason.strip():
        raise ReasonRefused(
            f"expected a reason, such as the number of a request, found {reason!r}; the log keeps"
            " it as the explanation"
        )
    if len(reason) > LONGEST:
        raise ReasonRefused(
            f"expected a reason of at most {LONGEST} characters, found {len(reason)}; a reason can"
            " never be erased: refer to the request, and keep its words elsewhere"
        )
    # The trigger that permits an erasure parses the reason, and PostgreSQL's JSON accepts neither.
    if "\0" in reason or any("\ud800" <= character <= "\udfff" for character in reason):
        raise ReasonRefused(
            f"expected a reason of plain text, found {reason!r}; leave NUL characters and lone"
            " surrogates out"
        )
    return reason
