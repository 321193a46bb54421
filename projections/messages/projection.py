"""The message list as a read model, in SQL; tests hold it equal to the fold that defines it."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections

from ...events.branches import branch_of
from ...events.listed import LISTED, fold
from ...events.log import read
from ...events.models import Actor, Event
from ...events.store.dialect import dialect_of
from ...events.store.kept import is_current
from ...events.tables.columns import adapters
from ...events.tables.database import log_database
from ..engine.contract import Row
from ..engine.projection import Projection
from ..engine.registry import register
from .model import ConversationMessage

_BEGAN = """coalesce(
                (SELECT min(t.version + 0) FROM turnlog_event t
                 WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id),
                e.version)"""


@register
class MessagesProjection(Projection):
    """`ConversationMessage`, kept inline: it is there when the append's transaction commits.

    A row says that an event is listed, and for whom. The words stay in the event: they
    are stored once, and a rebuild moves none of them.
    """

    name = "messages"
    handles = (*LISTED, "ConversationCleared", "BranchChosen")
    inline = True
    model = ConversationMessage
    # An event is listed unless the conversation was cleared after its turn began, or its actor has
    # chosen a branch without that turn. The last of both is looked up for each event, by an index:
    # a join may read all of the log's. With "+ 0" both databases use the turn's own index: for a
    # bare min(version) they may walk the stream.
    # FOR KEY SHARE: a transaction that forgets this user and this one wait for each other. No row
    # may name the user afterwards.
    insert = f"""
        INSERT INTO turnlog_message
            (conversation_id, version, user_id, actor_id, turn_id, created_at)
        SELECT e.stream_id, e.version,
          (SELECT a.user_id FROM turnlog_actor a WHERE a.id = e.actor_id FOR KEY SHARE) AS user_id,
          e.actor_id, e.turn_id, e.recorded_at
        FROM {{events}} e
        WHERE e.type IN ('MessageAppended', 'ToolOutputRecorded') AND e.payload IS NOT NULL
          AND coalesce(
            (SELECT max(c.version) FROM turnlog_event c
             WHERE c.stream_id = e.stream_id AND c.type = 'ConversationCleared')
              <= {_BEGAN},
            true)
          AND {is_current("e", _BEGAN)}
    """
    erase = Projection.erase_rows

    def apply(self, events: Sequence[Event]) -> None:
        self.follow(events)
        super().apply(events)

    def follows(self, events: Sequence[Event]) -> bool:
        return any(event.type in ("ConversationCleared", "BranchChosen") for event in events)

    def follow(self, events: Sequence[Event]) -> None:
        """Delete the rows that a clearing hides; list again what a branch has changed."""
        for event in events:
            if event.type == "BranchChosen":
                self._list_again(event, branch_of(event).changed)
            elif event.type == "ConversationCleared":
                self.execute(
                    "DELETE FROM turnlog_message WHERE conversation_id = %s AND version < %s",
                    [event.stream_id, event.version],
                )

    def _list_again(self, chosen: Event, since: int) -> None:
        """List an actor's events from a version on by their branch: what came before stays."""
        [adapt] = adapters(Event, ["actor_id"], connections[log_database()])
        whose, actor = "actor_id IS NULL", []
        if chosen.actor_id is not None:
            whose, actor = "actor_id = %s", [adapt(chosen.actor_id)]
        place = [chosen.stream_id, since, *actor]
        where = f"version >= %s AND {whose}"
        self.execute(f"DELETE FROM turnlog_message WHERE conversation_id = %s AND {where}", place)
        events = f"(SELECT * FROM turnlog_event WHERE stream_id = %s AND {where})"
        dialect = dialect_of(connections[log_database()])
        self.execute(dialect.projected(self.insert, events), place)

    def rebuild(self, streams: Sequence[int], until: int | None = None) -> None:
        """Replace the rows of these conversations, always up to each stream's head."""
        ids = ", ".join(str(int(stream)) for stream in streams)
        connection = connections[log_database()]
        if connection.vendor == "postgresql":
            there = self.of_streams(streams).exists()
            self.execute((_REPLACE if there else _INSERT).format(ids=ids))
        else:
            events = f"(SELECT * FROM turnlog_event WHERE stream_id IN ({ids}))"
            self.execute(f"DELETE FROM turnlog_message WHERE conversation_id IN ({ids})")
            self.execute(dialect_of(connection).projected(self.insert, events))

    def expected(self, streams: Sequence[int]) -> dict[int, list[Row]]:
        """Return the rows by the fold: SQL made the stored ones, so neither checks itself."""
        return {stream: _expected(stream) for stream in streams}


# The last clearing is looked up once for a conversation, and what came before it is not read.
_LISTED = f"""
    SELECT e.stream_id, e.version,
      (SELECT a.user_id FROM turnlog_actor a WHERE a.id = e.actor_id FOR KEY SHARE) AS user_id,
      e.actor_id, e.turn_id, e.recorded_at
    FROM unnest(ARRAY[{{ids}}]::bigint[]) AS stream (id)
    LEFT JOIN LATERAL (
        SELECT max(version) AS version FROM turnlog_event
        WHERE stream_id = stream.id AND type = 'ConversationCleared') cleared ON true
    LEFT JOIN LATERAL (
        SELECT max(version) AS version FROM turnlog_event
        WHERE stream_id = stream.id AND type = 'BranchChosen') branched ON true
    JOIN turnlog_event e
      ON e.stream_id = stream.id AND e.version > coalesce(cleared.version, 0)
    WHERE e.type IN ('MessageAppended', 'ToolOutputRecorded') AND e.payload IS NOT NULL
      AND (cleared.version IS NULL OR NOT EXISTS (
        SELECT 1 FROM turnlog_event t
        WHERE t.stream_id = e.stream_id AND t.turn_id = e.turn_id
          AND t.version + 0 < cleared.version))
      AND (branched.version IS NULL OR {is_current("e", _BEGAN)})
"""
_INSERT = f"""
    INSERT INTO turnlog_message
        (conversation_id, version, user_id, actor_id, turn_id, created_at)
    {_LISTED}
"""
# Rows that are already right stay: deleting and inserting every row would take twice as long, and
# leave as many dead rows behind as there are live ones.
_REPLACE = f"""
    WITH wanted AS MATERIALIZED ({_LISTED}),
    held AS MATERIALIZED (SELECT * FROM turnlog_message WHERE conversation_id IN ({{ids}})),
    gone AS (
        DELETE FROM turnlog_message WHERE id IN (
            SELECT h.id FROM held h LEFT JOIN wanted w
            ON w.stream_id = h.conversation_id AND w.version = h.version
            WHERE w.version IS NULL)),
    corrected AS (
        UPDATE turnlog_message m
        SET user_id = w.user_id, actor_id = w.actor_id, turn_id = w.turn_id,
            created_at = w.recorded_at
        FROM held h JOIN wanted w ON w.stream_id = h.conversation_id AND w.version = h.version
        WHERE m.id = h.id
          AND (h.user_id, h.actor_id, h.turn_id, h.created_at) IS DISTINCT FROM
              (w.user_id, w.actor_id, w.turn_id, w.recorded_at))
    INSERT INTO turnlog_message
        (conversation_id, version, user_id, actor_id, turn_id, created_at)
    SELECT w.* FROM wanted w LEFT JOIN held h
    ON w.stream_id = h.conversation_id AND w.version = h.version
    WHERE h.id IS NULL
"""


def _expected(stream_id: int) -> list[Row]:
    listed = fold(read(stream_id))
    spoke = {entry.actor_id for entry in listed if entry.actor_id}
    actors = Actor.objects.using(log_database()).filter(id__in=spoke)
    users = dict(actors.values_list("id", "user_id"))
    found = []
    for entry in listed:
        row = {**entry._asdict(), "user_id": entry.actor_id and users.get(entry.actor_id)}
        del row["content"]  # It is in the event.
        found.append(row)
    return found
