"""For each event in a batch, the earlier events of its turn, in whichever batch they came."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any

from django.db import connections

from ...events.models import Event
from ...events.tables.columns import LOADED, adapters, quoted
from ...events.tables.database import log_database
from ...events.upcasters import stored_as

_COLUMNS = quoted(LOADED, "e")
# A join, not IN: on both databases, it is one index look-up for each turn. "+ 0" keeps them from
# walking the stream up to that version instead.
_BEFORE = f"""
    WITH turns (stream_id, turn_id, first) AS (VALUES {{turns}})
    SELECT {_COLUMNS} FROM turns t JOIN turnlog_event e
        ON e.stream_id = t.stream_id AND e.turn_id = t.turn_id AND e.version + 0 < t.first
    WHERE e.type IN ({{types}})
"""


class Turns:
    """For each event in a batch, the earlier events of its turn.

    Events that are not in the batch are read from the log. So what a projection makes of an event
    depends on the log alone, wherever one batch ends and the next begins. `types` are the event
    types that the projection handles; a batch must not skip one of them between two others.
    """

    def __init__(self, events: Sequence[Event], types: Sequence[str]) -> None:
        self._turns: dict[tuple[int, uuid.UUID | None], list[Event]] = defaultdict(list)
        here = [event for event in events if event.turn_id is not None]
        for event in chain(_before(here, types), here):
            self._turns[event.stream_id, event.turn_id].append(event)
        for turn in self._turns.values():
            turn.sort(key=lambda event: event.version)

    def before(self, event: Event) -> list[Event]:
        """Return the earlier events of this event's turn, in order."""
        turn = self._turns.get((event.stream_id, event.turn_id), ())
        return [earlier for earlier in turn if earlier.version < event.version]


def _before(events: Sequence[Event], types: Sequence[str]) -> list[Event]:
    first: dict[tuple[int, Any], Event] = {}
    for event in events:
        first.setdefault((event.stream_id, event.turn_id), event)
    # A turn begins with TurnStarted: nothing comes before it.
    begun = [event for event in first.values() if event.type != "TurnStarted"]
    if not begun:
        return []
    using = log_database()
    [adapt] = adapters(Event, ["turn_id"], connections[using])
    parameters: list[Any] = []
    for event in begun:
        parameters += [event.stream_id, adapt(event.turn_id), event.version]
    stored = sorted(stored_as(types))
    sql = _BEFORE.format(
        turns=", ".join(["(%s, %s, %s)"] * len(begun)), types=", ".join(["%s"] * len(stored))
    )
    earlier = (event.current for event in Event.objects.using(using).raw(sql, parameters + stored))
    return [event for event in earlier if event.type in types]
