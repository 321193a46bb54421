"""The log of accesses: who has seen, searched, revealed or exported whose conversations.

Korea's rules for access records ask for these: the account, the time, the address, whose data it
was, and what was done with it; a reason for what is taken away; and an inspection each month.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from ..core.errors import ArgumentError, RemarkRefused
from ..core.wellformed import wellformed
from .beside import accesses_of, found, opened
from .erasure.reasons import require_reason
from .log import NewEvent, append
from .tables.conversation import rows
from .tables.database import log_database
from .tables.event import Event
from .types import AccessesInspected, AccessRecorded

ACTIONS = ("listed", "read", "revealed", "exported")
WITH_REASON = ("revealed", "exported")
"""The actions that need a reason."""


def record(
    action: str,
    *,
    by: Any,
    page: str,
    conversations: Iterable[int],
    address: str,
    query: str = "",
    reason: str = "",
) -> Event:
    """Record what a user did with others' conversations, in the stream of the current month.

    `action` is one of `ACTIONS`. Personal data in `query` must be masked already. Raises
    ArgumentError, and ReasonRefused if a reason is needed and there is none.
    """
    if action not in ACTIONS:
        raise ArgumentError("action", f"one of {', '.join(ACTIONS)}", action)
    if action in WITH_REASON:
        require_reason(reason)
    numbers = sorted(set(conversations))
    owners = rows().filter(pk__in=numbers).exclude(owner_actor_id=None)
    theirs = sorted(map(str, set(owners.values_list("owner_actor_id", flat=True))))
    data = AccessRecorded(
        action, page, numbers, theirs, wellformed(address), wellformed(query), wellformed(reason)
    )
    return append(opened(accesses_of(this_month())), [NewEvent(data, user=by)])[-1]


def inspect(month: str, *, by: Any, until: int, remark: str = "") -> Event:
    """Record that a user has inspected a month's accesses, up to a version of its stream.

    The month is written as 2026-11. Raises RemarkRefused if nothing was recorded in it, or if its
    stream has no such version.
    """
    stream = found(accesses_of(month))
    if stream is None:
        raise RemarkRefused(
            _("Expected a month with accesses, found %(month)s: nothing was written.")
            % {"month": wellformed(month)[:40]}
        )
    if not Event.objects.using(log_database()).filter(stream_id=stream, version=until).exists():
        raise RemarkRefused(
            _("Expected a version of conversation %(number)d, found %(version)d.")
            % {"number": stream, "version": until}
        )
    data = AccessesInspected(until, wellformed(remark)[:_LONGEST])
    return append(stream, [NewEvent(data, user=by)])[-1]


_LONGEST = 2_000


def this_month() -> str:
    """The current month in the project's time zone, as 2026-11."""
    now = timezone.localtime(timezone=timezone.get_default_timezone())
    return f"{now:%Y-%m}"
