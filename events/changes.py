"""What a conversation was called, and whose it was: changes of both are events of its stream."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connections

from ..core.errors import UnknownConversation
from .log import NewEvent, append
from .store.confirmed import require_stored
from .store.dialect import dialect_of
from .store.isolation import locking
from .tables.conversation import rows
from .tables.database import log_database
from .tables.event import Event
from .types import ConversationOpened, EventData, OwnerChanged, TitleChanged

CHANGES = (OwnerChanged.__name__, TitleChanged.__name__)


def record(
    stream_id: int,
    *,
    by: Any = None,
    title: str | None = None,
    owner: tuple[uuid.UUID | None, uuid.UUID | None] | None = None,
) -> None:
    """Append what changed: the new `title`, and the former and the new `owner` as actor ids.

    `by` is the user who changed it. Call it in the transaction of the change, before it.
    """
    changed: list[EventData] = []
    if owner is not None:
        former, new = (None if each is None else str(each) for each in owner)
        changed.append(OwnerChanged(new, former))
    if title is not None:
        changed.append(TitleChanged(title))
    if changed:
        append(stream_id, [NewEvent(data, user=by) for data in changed])


NAMED_AFTER = "named_after"
"""In a TitleChanged's metadata: the turn whose words the title has, and with which it is erased."""


def name(stream_id: int, title: str, *, turn_id: uuid.UUID) -> bool:
    """Give a conversation its first title, made from what was said in a turn; return whether it got
    it.

    It does not if it has or ever had a title, or if words of the turn are erased. Raises
    UnknownConversation and IsolationRefused.
    """
    using = log_database()
    with locking(using):
        with connections[using].cursor() as cursor:
            # A person's title, or an erasure of the turn, comes before this or waits for it.
            dialect_of(connections[using]).lock_streams(cursor, [stream_id])
        row = rows().filter(pk=stream_id)
        stream = Event.objects.using(using).filter(stream_id=stream_id)
        turn = stream.filter(turn_id=turn_id)
        if has_name(stream_id) or not turn.exists() or turn.filter(payload__isnull=True).exists():
            return False
        require_stored("turnlog_conversation", 1, row.rewrite(title=title))
        append(stream_id, [NewEvent(TitleChanged(title), metadata={NAMED_AFTER: str(turn_id)})])
    return True


def has_name(stream_id: int) -> bool:
    """Return whether a conversation has or ever had a title. Raises UnknownConversation."""
    title = rows().filter(pk=stream_id).values_list("title", flat=True).first()
    if title is None:
        raise UnknownConversation(stream_id)
    events = Event.objects.using(log_database()).filter(stream_id=stream_id)
    return bool(title) or events.filter(type=TitleChanged.__name__).exists()


def title_at(stream_id: int, version: int) -> str:
    """The title at a version; empty if it is erased."""
    data = _last(stream_id, version, TitleChanged)
    return data.title if isinstance(data, TitleChanged | ConversationOpened) else ""


def owner_at(stream_id: int, version: int) -> uuid.UUID | None:
    """The owner's actor id at a version; None if nobody owned it, or if that is erased."""
    data = _last(stream_id, version, OwnerChanged)
    if not isinstance(data, OwnerChanged | ConversationOpened) or data.owner is None:
        return None
    return uuid.UUID(data.owner)


def _last(stream_id: int, version: int, kind: type[EventData]) -> EventData | None:
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    changes = stream.filter(type__in=CHANGES, version__lte=version).order_by("-version")
    for event in changes.iterator(chunk_size=100):
        if event.type == kind.__name__:
            return event.data
    opened = stream.filter(version=1).first()
    return None if opened is None else opened.data
