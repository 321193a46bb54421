"""Finds the events that forks have copied from a conversation, by the copies' `origin`."""

from __future__ import annotations

import json
from collections.abc import Collection

from ..tables.database import log_database
from ..tables.event import Event
from ..types import ConversationForked


def forks_of(stream_id: int) -> list[int]:
    """The conversations that began as forks of this one, as their own events say."""
    events = Event.objects.using(log_database()).filter(type=ConversationForked.__name__)
    named = events.filter(payload__startswith=f'{{"parent":{stream_id},')
    found = named.order_by("stream_id").values_list("stream_id", "payload")
    return [fork for fork, payload in found if json.loads(payload)["parent"] == stream_id]


def copies_of(stream_id: int, versions: Collection[int], fork_id: int) -> set[int]:
    """The versions in a fork that are copies of these versions of its parent.

    Needs no lock: a fork commits together with all its copies, while it locks the parent.
    """
    events = Event.objects.using(log_database()).filter(
        stream_id=fork_id, metadata__contains='"origin"'
    )
    wanted = set(versions)
    found = set()
    for version, metadata in events.values_list("version", "metadata").iterator():
        origin = json.loads(metadata).get("origin")
        if (
            isinstance(origin, dict)
            and origin.get("stream") == stream_id
            and origin.get("version") in wanted
        ):
            found.add(version)
    return found
