"""Finds events outside of turns that hold what turns said: decisions and summaries.

They are erased with the turns: a reason may quote a call, and a summary repeats what it covers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ...core.errors import UnreadableEvent
from ..tables.database import log_database
from ..tables.event import Event
from ..tables.literal import Literal
from ..types import WAITING_TYPE, HistorySummarized, ToolApprovalDecided


class Target(Protocol):
    """What is known of an event that is to be erased."""

    @property
    def version(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def turn_id(self) -> object: ...


def decisions_about(stream_id: int, targets: Iterable[Target]) -> set[int]:
    """The versions of the decisions about calls of these turns. Reads nothing if none waited."""
    asked = {target.turn_id: target.version for target in targets if target.type == WAITING_TYPE}
    if not asked:
        return set()
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    later = stream.filter(type="ToolApprovalDecided", version__gt=min(asked.values()))
    turns = set(map(str, asked))
    return {
        event.version
        for event in later.filter(payload__isnull=False).iterator()
        if _turn_of(event) in turns | {None}
    }


def summaries_of(stream_id: int, targets: Iterable[Target]) -> set[int]:
    """The versions of the summaries that cover one of these events, or that cannot be read."""
    versions = [target.version for target in targets]
    if not versions:
        return set()
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    later = stream.filter(type=Literal("HistorySummarized"), version__gt=min(versions))
    found = set()
    for event in later.filter(payload__isnull=False).iterator():
        since, until = _covered(event)
        if any(since <= version <= until for version in versions):
            found.add(event.version)
    return found


def _turn_of(event: Event) -> str | None:
    try:
        data = event.data
    except UnreadableEvent:
        return None  # Whatever it is about.
    return data.turn if isinstance(data, ToolApprovalDecided) else None


def _covered(event: Event) -> tuple[int, int]:
    try:
        data = event.data
    except UnreadableEvent:
        data = None
    if isinstance(data, HistorySummarized):
        return data.since, data.until
    return 0, event.version
