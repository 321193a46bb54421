"""Forks: a new conversation that continues another one from any of its moments.

A fork copies each event that was visible then, so it needs no other conversation. A copy has its
original's metadata and the key `origin`: `{"stream": ..., "version": ...}`, the event of the
immediate parent that was copied. Erasure follows this key.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import connections

from ..core.errors import NotPermitted, UnknownConversation
from .listed import read_listed
from .log import NewEvent, append
from .moments import moment_of
from .store.dialect import dialect_of
from .store.isolation import locking
from .tables.conversation import ConversationRow, rows
from .tables.database import log_database
from .tables.event import Event
from .types import ConversationForked, EventData

# Copies in one append: a statement has at most 32,766 parameters on SQLite, 65,535 on PostgreSQL,
# and PostgreSQL keeps one of each length prepared.
_BATCH = 200


def fork(
    stream_id: int,
    version: int | None = None,
    at: dt.datetime | None = None,
    *,
    user: Any = None,
) -> ConversationRow:
    """Create a conversation with what was visible in this one at a version, at a time, or now.

    With `user`, the fork is theirs and holds only their own turns; the parent must be open to them.
    Without it, the fork has the parent's owner and all turns. The parent stays as it is. Raises
    NotPermitted, MomentError or UnknownConversation; then nothing is created.
    """
    using = log_database()
    with locking(using):
        # Before the first read, and until the commit. An erasure in the parent comes either
        # before, and what it erased is not copied; or after, and it finds the copies.
        with connections[using].cursor() as cursor:
            dialect_of(connections[using]).lock_streams(cursor, [stream_id])
        parent = _parent(stream_id)
        if user is not None and not parent.is_open_to(user):
            raise NotPermitted(parent.pk, "fork", user)
        moment = moment_of(parent.pk, version, at)
        # django-stubs does not support an abstract model that refers to itself.
        forked = rows().create(  # type: ignore[misc]
            title=parent.title,
            user=parent.user if user is None else user,
            # Not only the user: if that user is deleted, the fork must not become open to others.
            owner_actor_id=parent.owner_actor_id if user is None else None,
            forked_from=parent,
            forked_at=moment.version,
        )
        _copy(moment, forked, user)
    return forked


def _parent(pk: int) -> ConversationRow:
    # Read again: the owner may have changed since the caller looked.
    found = rows().filter(pk=pk, beside=None).select_related("user").first()
    if found is None:
        raise UnknownConversation(pk)
    return found


def _copy(moment: Event, forked: ConversationRow, user: Any) -> None:
    """Append the events that the fork begins with, batch by batch."""
    data = ConversationForked(moment.stream_id, moment.version, bytes(moment.hash).hex())
    [*_, began] = append(forked.pk, [NewEvent(data, user=user)])
    listed = read_listed(moment.stream_id, moment.version)
    versions = [e.version for e in listed if user is None or e.actor_id == began.actor_id]
    stream = Event.objects.using(log_database()).filter(stream_id=moment.stream_id)
    for start in range(0, len(versions), _BATCH):
        originals = stream.filter(version__in=versions[start : start + _BATCH])
        append(forked.pk, [_copy_of(event) for event in originals.order_by("version")])


def _copy_of(original: Event) -> NewEvent:
    return NewEvent(
        _copy_class(original.type, original.schema)(json.loads(original.payload or "null")),
        original.turn_id,
        original.actor_id,
        {
            **original.meta,
            "origin": {"stream": original.stream_id, "version": original.version},
        },
    )


@dataclass(frozen=True, slots=True)
class _Copy(EventData):
    """A stored fact that keeps its text byte for byte, in any schema.

    The fact's own class might change the text: it would write a field that was added since.
    """

    is_copy: ClassVar[bool] = True

    document: Any

    def payload(self) -> Any:
        return self.document


@functools.cache
def _copy_class(type_name: str, schema: int) -> type[_Copy]:
    # The log takes type and schema from the class.
    return type(type_name, (_Copy,), {"schema": schema, "__slots__": ()})
