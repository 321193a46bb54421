"""Rebuild a projection's rows from the log, while people chat.

A rebuild works through chunks of conversations, each in one short transaction: a reader sees the
old rows or the new ones, never a mixture.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import OperationalError, connections
from django.db.models import Max

from ...core import retrying
from ...core.errors import RebuildCutOff
from ...core.faults import is_lock_timeout
from ...events.models import Event
from ...events.store.dialect import dialect_of
from ...events.store.isolation import locking
from ...events.tables.conversation import require_conversation
from ...events.tables.database import log_database
from .applying import unpark
from .checkpoints import checkpoint_of
from .making import rebuild_rows
from .projection import Projection

STREAMS = 500
EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Conversations that are rebuilt in one transaction, and their number of events."""

    streams: Sequence[int]
    events: int


def chunks(*, after: int = 0) -> Iterator[Chunk]:
    """Yield all conversations above a number in order: at most 500 at a time, and 10,000 events.

    A conversation with more events than that is a chunk of its own. The conversations are read page
    by page: memory does not grow with their number, and those opened meanwhile are included.
    """
    using = log_database()
    while True:
        with connections[using].cursor() as cursor:
            cursor.execute(
                "SELECT c.id, coalesce((SELECT e.version FROM turnlog_event e"
                " WHERE e.stream_id = c.id ORDER BY e.version DESC LIMIT 1), 0)"
                " FROM turnlog_conversation c WHERE c.id > %s ORDER BY c.id LIMIT %s",
                [after, STREAMS],
            )
            page = cursor.fetchall()
        if not page:
            return
        streams: list[int] = []
        events = 0
        for stream_id, head in page:
            if streams and events + head > EVENTS:
                break
            streams.append(stream_id)
            events += head
        yield Chunk(streams, events)
        after = streams[-1]


def chunk_of(conversation: int) -> Chunk:
    """Return a chunk of one conversation. Raises UnknownConversation if it does not exist."""
    require_conversation(conversation)
    events = Event.objects.using(log_database()).filter(stream_id=conversation)
    return Chunk([conversation], events.aggregate(head=Max("version"))["head"] or 0)


def rebuild_chunk(projection: Projection, streams: Sequence[int]) -> None:
    """Rebuild some conversations; each transaction rebuilds all of its conversations or none.

    Writers of these conversations wait for it, and it gives way to writers that are already at
    work. Raises ProjectionFailed; that transaction then changes nothing.
    """

    def rebuild(part: Sequence[int]) -> None:
        with locked(projection, part) as until:
            unpark(projection, part)
            rebuild_rows(projection, part, until)

    giving_way(streams, rebuild)


def giving_way(streams: Sequence[int], work: Callable[[Sequence[int]], object]) -> None:
    """Do work that locks some conversations.

    If it would have to wait long for writers, it lets them go first and tries again, with fewer
    conversations each time. Raises RebuildCutOff if a writer's transaction does not end.
    """
    waiting = deque([list(streams)])
    refused = 0
    while waiting:
        part = waiting.popleft()
        try:
            work(part)
        except OperationalError as error:
            if not is_lock_timeout(error):
                raise
            refused += 1
            if refused > retrying.REFUSED_LOCKS:
                raise RebuildCutOff(
                    f"conversation {part[0]} is written to in a transaction that does not end; end"
                    " that session and run the command again"
                ) from error
            half = (len(part) + 1) // 2
            waiting.extend(smaller for smaller in (part[:half], part[half:]) if smaller)


@contextmanager
def locked(projection: Projection, streams: Sequence[int]) -> Iterator[int | None]:
    """Open a transaction in which these conversations and the projection's checkpoint stay as is.

    Yields the position that the projection's rows have reached (see `checkpoint_of`).
    """
    using = log_database()
    with locking(using):
        with connections[using].cursor() as cursor:
            dialect = dialect_of(connections[using])
            # Locked before the first read: a batch committed in between would be lost or applied
            # twice. Always the streams before the checkpoint: an erasure locks in this order too.
            dialect.lock_streams(cursor, streams, give_way=True)
            if not projection.inline:
                dialect.lock_projection(cursor, projection.name, shared=True)
            dialect.use_indexes(cursor)
            # The progress is committed later: a crash that loses this commit loses that one too.
            dialect.take_room(cursor)
        yield checkpoint_of(projection)
