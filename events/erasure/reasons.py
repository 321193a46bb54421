"""Why something is erased or held: words that stand in the log for ever."""

from __future__ import annotations

from typing import Any

from ...core.errors import ReasonRefused

LONGEST = 500
"""Characters: a reference to a request, not the request itself."""


def require_reason(reason: Any) -> str:
    """The reason, if it can be kept. Raises ReasonRefused."""
    if not isinstance(reason, str) or not reason.strip():
        raise ReasonRefused(
            f"expected a reason, such as the number of a request, found {reason!r}; it is what the"
            " log says afterwards"
        )
    if len(reason) > LONGEST:
        raise ReasonRefused(
            f"expected a reason of at most {LONGEST} characters, found {len(reason)}; it can never"
            " be erased itself: refer to the request, and keep its words elsewhere"
        )
    # The trigger that lets an erasure pass parses them, and PostgreSQL's JSON takes neither.
    if "\0" in reason or any("\ud800" <= character <= "\udfff" for character in reason):
        raise ReasonRefused(
            f"expected a reason of plain text, found {reason!r}; leave NUL characters and lone"
            " surrogates out"
        )
    return reason
