"""What the message list is: once as a pure fold, and once as SQL held equal to it by a test."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from ..events.dialects import dialect_of, log_database
from ..events.models import Event

LISTED = ("MessageAppended", "ToolOutputRecorded")


@dataclass(frozen=True, slots=True)
class Message:
    """An entry of the message list: an event's place, turn, actor, payload text and time."""

    version: int
    turn_id: uuid.UUID | None
    actor_id: uuid.UUID | None
    content: str
    created_at: dt.datetime


def fold(events: Iterable[Event]) -> list[Message]:
    """The message list after a stream's events, given in order from the first.

    Clearing empties it and hides the turns that were under way; what is erased is not listed.
    """
    listed: list[Message] = []
    under_way: set[uuid.UUID] = set()
    hidden: set[uuid.UUID] = set()
    for event in events:
        if event.type == "TurnStarted" and event.turn_id:
            under_way.add(event.turn_id)
        elif event.type == "ConversationCleared":
            listed.clear()
            hidden |= under_way
        elif event.type in LISTED and event.turn_id not in hidden:
            if event.turn_id:
                under_way.discard(event.turn_id)
            if event.payload is not None:
                listed.append(
                    Message(
                        event.version,
                        event.turn_id,
                        event.actor_id,
                        event.payload,
                        event.recorded_at,
                    )
                )
    return listed


# An event is listed unless the conversation was cleared after its turn began.
_INSERT = """
    INSERT INTO turnlog_message
        (conversation_id, version, user_id, actor_id, turn_id, content, created_at)
    SELECT e.stream_id, e.version, a.user_id, e.actor_id, e.turn_id, e.payload, e.recorded_at
    FROM turnlog_event e LEFT JOIN turnlog_actor a ON a.id = e.actor_id
    WHERE e.stream_id = %s AND e.version BETWEEN %s AND %s
      AND e.type IN ('MessageAppended', 'ToolOutputRecorded') AND e.payload IS NOT NULL
      AND NOT EXISTS (
        SELECT 1 FROM turnlog_event c
        WHERE c.stream_id = e.stream_id AND c.type = 'ConversationCleared'
          AND c.version > coalesce(
            (SELECT min(t.version) FROM turnlog_event t
             WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
            e.version))
"""
_DELETE = "DELETE FROM turnlog_message WHERE conversation_id = %s"


def _cursor() -> Any:
    connection = connections[log_database()]
    return dialect_of(connection).cursor(connection)


class MessagesProjection:
    """`ConversationMessage`, kept inline: it is there when the append's transaction commits."""

    name = "messages"

    def apply(self, events: Sequence[Event]) -> None:
        """Follow a batch of one stream, inside the transaction that appends it."""
        stream_id, first, last = events[0].stream_id, events[0].version, events[-1].version
        cleared = [event.version for event in events if event.type == "ConversationCleared"]
        with _cursor() as cursor:
            if cleared:
                cursor.execute(_DELETE + " AND version < %s", [stream_id, cleared[-1]])
            if any(event.type in LISTED for event in events):
                cursor.execute(_INSERT, [stream_id, first, last])

    def rebuild(self, stream_id: int) -> None:
        """Replace a stream's rows by what the log says; the caller holds the stream's lock."""
        with _cursor() as cursor:
            cursor.execute(_DELETE, [stream_id])
            cursor.execute(_INSERT, [stream_id, 1, 2**31 - 1])
