"""The message list as a read model: SQL, held equal by a test to the fold that defines it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from ..events.dialects import dialect_of, log_database
from ..events.models import Event


class MessagesProjection:
    """`ConversationMessage`, kept inline: it is there when the append's transaction commits."""

    name = "messages"

    # An event is listed unless the conversation was cleared after its turn began.
    insert = """
        INSERT INTO turnlog_message
            (conversation_id, version, user_id, actor_id, turn_id, content, created_at)
        SELECT e.stream_id, e.version, a.user_id, e.actor_id, e.turn_id, e.payload, e.recorded_at
        FROM {events} e LEFT JOIN turnlog_actor a ON a.id = e.actor_id
        WHERE e.type IN ('MessageAppended', 'ToolOutputRecorded') AND e.payload IS NOT NULL
          AND NOT EXISTS (
            SELECT 1 FROM turnlog_event c
            WHERE c.stream_id = e.stream_id AND c.type = 'ConversationCleared'
              AND c.version > coalesce(
                (SELECT min(t.version) FROM turnlog_event t
                 WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
                e.version))
    """
    _delete = "DELETE FROM turnlog_message WHERE conversation_id = %s"

    def apply(self, events: Sequence[Event]) -> None:
        """A clearing hides what came before it."""
        cleared = [event.version for event in events if event.type == "ConversationCleared"]
        if cleared:
            with _cursor() as cursor:
                cursor.execute(
                    self._delete + " AND version < %s", [events[0].stream_id, cleared[-1]]
                )

    def rebuild(self, stream_id: int) -> None:
        """Replace a stream's rows by what the log says; the caller holds the stream's lock."""
        stream = "(SELECT * FROM turnlog_event WHERE stream_id = %s)"
        with _cursor() as cursor:
            cursor.execute(self._delete, [stream_id])
            cursor.execute(self.insert.format(events=stream), [stream_id])


def _cursor() -> Any:
    connection = connections[log_database()]
    return dialect_of(connection).cursor(connection)
