"""Legal holds: what must not be erased for now. A hold is a fact in the log.

A conversation is held if the last of its HoldPlaced and HoldLifted is a HoldPlaced.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from ...core.errors import NotHeld
from ..log import NewEvent, append
from ..store.dialect import dialect_of
from ..store.isolation import locking
from ..tables.conversation import require_conversation
from ..tables.database import log_database
from ..tables.event import Event
from ..tables.held import hold_of
from ..types import HoldLifted, HoldPlaced
from .reasons import require_reason


def place(stream_id: int, *, by: Any = None, reason: str = "") -> Event:
    """Keep a conversation from being erased until the hold is lifted.

    If the conversation is already held, the new reason replaces the old one in messages. Raises
    ReasonRefused, UnknownConversation.
    """
    data = HoldPlaced(require_reason(reason))
    require_conversation(stream_id)
    return append(stream_id, [NewEvent(data, user=by)])[-1]


def lift(stream_id: int, *, by: Any = None, reason: str = "") -> Event:
    """End a conversation's hold. Raises NotHeld, ReasonRefused, UnknownConversation."""
    data = HoldLifted(require_reason(reason))
    require_conversation(stream_id)
    event = NewEvent(data, user=by)
    using = log_database()
    with locking(using):
        # Before looking for a hold, and until the commit.
        with connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_streams(cursor, [stream_id])
        if hold_of(stream_id) is None:
            raise NotHeld(stream_id)
        return append(stream_id, [event])[-1]
