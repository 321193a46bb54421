"""Finds turns that were answered again: each of them has the same message."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from ..tables.database import log_database
from ..tables.event import Event
from ..tables.literal import Literal


def turns_with_words_of(stream_id: int, turns: Collection[uuid.UUID | None]) -> set[uuid.UUID]:
    """The turns that stand in the place of one of these turns, and repeat its message."""
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id)
    beside: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
    for payload in stream.filter(type=Literal("BranchChosen")).values_list("payload", flat=True):
        chosen = json.loads(payload or "{}")
        if replaced := chosen.get("instead_of"):
            one, other = uuid.UUID(replaced), uuid.UUID(chosen["turn"])
            beside[one].add(other)
            beside[other].add(one)
    found: set[uuid.UUID] = set()
    for turn_id in turns:
        if turn_id in beside and (message := _message(stream, turn_id)) is not None:
            others = _connected(beside, turn_id)
            found |= {other for other in others if _message(stream, other) == message}
    return found - set(turns)


def _connected(beside: dict[uuid.UUID, set[uuid.UUID]], turn_id: uuid.UUID) -> set[uuid.UUID]:
    seen, waiting = {turn_id}, [turn_id]
    while waiting:
        new = beside[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def _message(stream: Any, turn_id: uuid.UUID) -> Any:
    """Return the document of what the person said in a turn; None if it is erased."""
    began = stream.filter(turn_id=turn_id).order_by("version").first()
    if began is None or began.payload is None:
        return None
    payload = json.loads(began.payload)
    return payload["message"] if began.type == "TurnStarted" else payload
