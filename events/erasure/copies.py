"""Finds the events that forks have copied from a conversation, by the copies' `origin`."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Collection

from ..tables.database import log_database
from ..tables.event import Event
from ..types import ConversationForked

_TURNS = 500


def forks_of(stream_id: int) -> list[int]:
    """The conversations that began as forks of this one, as their own events say."""
    events = Event.objects.using(log_database()).filter(type=ConversationForked.__name__)
    named = events.filter(payload__startswith=f'{{"parent":{stream_id},')
    found = named.order_by("stream_id").values_list("stream_id", "payload")
    return [
        fork for fork, payload in found if json.loads(payload or "{}").get("parent") == stream_id
    ]


def copies_of(
    stream_id: int,
    versions: Collection[int],
    turns: Collection[uuid.UUID | None],
    fork_id: int,
) -> set[int]:
    """The versions in a fork that are copies of these versions of its parent, in these turns, and
    not erased yet.

    Needs no lock: a fork commits together with all its copies, while it locks the parent.
    """
    events = Event.objects.using(log_database()).filter(
        stream_id=fork_id, payload__isnull=False, metadata__contains='"origin"'
    )
    # A copy has its original's turn, and that has an index.
    ids = sorted(turn for turn in turns if turn is not None)
    parts = [events.filter(turn_id__in=ids[n : n + _TURNS]) for n in range(0, len(ids), _TURNS)]
    if None in turns:
        parts.append(events.filter(turn_id=None))
    rows = [part.values_list("version", "metadata").iterator() for part in parts]
    wanted = set(versions)
    found = set()
    for version, metadata in itertools.chain.from_iterable(rows):
        origin = json.loads(metadata).get("origin")
        if (
            isinstance(origin, dict)
            and origin.get("stream") == stream_id
            and origin.get("version") in wanted
        ):
            found.add(version)
    return found
