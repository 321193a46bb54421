"""Finds turns whose start may quote what was said before.

A `TurnStarted` says which messages its model was given. Usually it names them by version, and words
that are erased there are gone here too. But a consumer may give messages of its own, such as a
summary, which are stored here as documents. turnlog cannot know whether these quote erased words.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator
from typing import Any

from ...core import codec
from ..tables.database import log_database
from ..tables.event import Event


def quoting_turns(stream_id: int, after: int) -> set[uuid.UUID]:
    """The turns that began after version `after` with messages of a consumer's own making.

    Leaves out turns whose messages had all been given by that version, word for word: such as a
    note before every prompt. The messages that the turn at that version was given count as well,
    because they were made before anything was said in it.
    """
    started = Event.objects.using(log_database()).filter(
        stream_id=stream_id, type="TurnStarted", payload__contains='"messages":'
    )
    before: set[str] | None = None
    quoting = set()
    for event in started.filter(version__gt=after).order_by("version").iterator():
        documents = set(_documents(event))
        if documents and before is None:
            earlier = started.filter(version__lte=after).iterator()
            before = {document for event in earlier for document in _documents(event)}
        if event.turn_id is not None and not documents <= (before or set()):
            quoting.add(event.turn_id)
    return quoting


def may_be_given(started: Event, versions: Collection[int]) -> bool:
    """Whether a turn's model may have been given what was said at one of these versions."""
    before = {version for version in versions if version < started.version}
    previous: Any = json.loads(started.payload or "{}").get("previous")
    if previous is None:
        return bool(before)  # Not known, so it may be.
    if "messages" in previous:
        given = previous["messages"]
        return bool(before) and any(type(item) is not int or item in before for item in given)
    if "summary" in previous:  # It covers what came before the entries that were given.
        return any(version <= max(previous["until"], previous["summary"]) for version in before)
    return any(previous["since"] <= version <= previous["until"] for version in before)


def _documents(event: Event) -> Iterator[str]:
    previous: Any = json.loads(event.payload or "{}").get("previous")
    for item in (previous or {}).get("messages", ()):
        if type(item) is not int:
            yield codec.to_json(item)
