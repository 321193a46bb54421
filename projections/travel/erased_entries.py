"""The entries that a conversation's message list had at a moment, and that are erased today."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from ...events.erasure.past import Erasure, erasures_of
from ...events.listed import visible


@dataclass(frozen=True, slots=True)
class ErasedEntry:
    """The place of an erased entry: its version, turn, actor and time.

    `erasure` says when the entry was erased, by whom and for what reason.
    """

    version: int
    turn_id: uuid.UUID | None
    actor_id: uuid.UUID | None
    created_at: dt.datetime
    erasure: Erasure


def erased_entries(stream_id: int, until: int) -> list[ErasedEntry]:
    """Return the erased entries that the list held at version `until`, in order of version."""
    rows = visible(stream_id, until).filter(payload=None)
    places = list(rows.values_list("version", "turn_id", "actor_id", "recorded_at"))
    # Read after the entries: by then, each entry found erased has its record.
    erasures = erasures_of(stream_id) if places else {}
    return [
        ErasedEntry(version, turn_id, actor_id, created_at, erasures[version])
        for version, turn_id, actor_id, created_at in places
        if version in erasures
    ]
