"""Every look at other people's conversations is on record: what is not recorded is not shown."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from ...core import conf
from ...core.errors import ConfigurationError
from ...core.masking.masker import Masker
from ...events import accesses
from ...events.models import Conversation
from ...events.tables.database import log_database
from .access import is_reviewer

REST_SECONDS = 600.0
"""Whoever looks at the same page again within this time is not recorded again: the slider and
"Play" are one look. It counts for each process of the server."""

_NO_CONVERSATION = 0

# Looks that one process remembers; of what it has forgotten, it records the next one again.
_MOST = 10_000


def record_look(
    request: HttpRequest,
    action: str,
    page: str,
    conversations: Iterable[Conversation],
    *,
    query: str = "",
    reason: str = "",
) -> None:
    """Record what somebody is about to be shown, unless it is an owner, and all of it is theirs.

    The record has the query with personal data masked, and not as in the conversation: whoever
    searches for a number must not learn its placeholder there.

    Within ATOMIC_REQUESTS it is committed before the page is sent. Raises ReasonRefused, and
    whatever keeps it from being stored: then nothing may be shown.
    """
    shown = list(conversations)
    # What reviewers see of their own may hold others' turns: of a room that became theirs.
    all_count = is_reviewer(request.user)
    others = [each.pk for each in shown if all_count or each.user_id != request.user.pk]
    if not others and (shown or not query):
        return
    address = client_address(request)
    # In any order: a list that is kept up to date is still the same list.
    look = (conf.tenant(), request.user.pk, address, action, page, frozenset(others), query)
    if action not in accesses.WITH_REASON and _looks.has(look):
        return
    accesses.record(
        action,
        by=request.user,
        page=page,
        conversations=others,
        address=address,
        query=Masker(_NO_CONVERSATION).text(query),
        reason=reason,
    )
    # Not before the commit: it may never come.
    transaction.on_commit(partial(_looks.keep, look), using=log_database())


def client_address(request: HttpRequest) -> str:
    """Return the client's address. Raises ConfigurationError if the project's function does not
    return a text."""
    if (own := conf.function("CLIENT_ADDRESS")) is None:
        return str(request.META.get("REMOTE_ADDR") or "")[:64]
    found: Any = own(request)
    if not isinstance(found, str):
        raise ConfigurationError(
            f"expected TURNLOG['CLIENT_ADDRESS'] to return a text, found {found!r:.80}"
        )
    return found[:64]


class _Looks:
    """The latest looks, each with when it was recorded."""

    def __init__(self) -> None:
        self._at: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, look: Hashable) -> bool:
        """Return whether a look was recorded a short time ago."""
        with self._lock:
            return time.monotonic() - self._at.get(look, float("-inf")) < REST_SECONDS

    def keep(self, look: Hashable) -> None:
        with self._lock:
            self._at[look] = time.monotonic()
            self._at.move_to_end(look)
            if len(self._at) > _MOST:
                self._at.popitem(last=False)

    def forget(self) -> None:
        with self._lock:
            self._at.clear()


_looks = _Looks()
