"""Turns whose start may quote what was said before.

A `TurnStarted` says which messages its model was given. Mostly it names them by version, and what
is erased there is gone here too. But a consumer may give messages of its own, a summary for
instance, which stand there as documents: whether these quote what is erased nobody can tell.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from ...core import codec
from ..dialects import log_database
from ..models import Event


def quoting_turns(stream_id: int, after: int) -> set[uuid.UUID]:
    """The turns that began after version `after` with messages of somebody's own making.

    Not those whose messages had all been given before that version already, word for word: such as
    a note that stands before every prompt.
    """
    started = Event.objects.using(log_database()).filter(
        stream_id=stream_id, type="TurnStarted", payload__contains='"messages":'
    )
    before: set[str] | None = None
    quoting = set()
    for event in started.filter(version__gt=after).order_by("version").iterator():
        documents = set(_documents(event))
        if documents and before is None:
            earlier = started.filter(version__lt=after).iterator()
            before = {document for event in earlier for document in _documents(event)}
        if event.turn_id is not None and not documents <= (before or set()):
            quoting.add(event.turn_id)
    return quoting


def _documents(event: Event) -> Iterator[str]:
    previous: Any = json.loads(event.payload or "{}").get("previous")
    for item in (previous or {}).get("messages", ()):
        if type(item) is not int:
            yield codec.to_json(item)
