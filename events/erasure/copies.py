"""Finds the events that forks have copied from a conversation, by the copies' `origin`."""

from __future__ import annotations

import json
from collections.abc import Collection

from ..tables.database import log_database
from ..tables.event import Event


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
