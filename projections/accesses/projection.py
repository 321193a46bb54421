"""The accesses projection: who has seen whose conversations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...events.beside import months_in
from ...events.models import Event
from ...events.types import AccessesInspected, AccessRecorded
from ..engine.projection import Projection
from ..engine.registry import register
from ..engine.storable import storable
from .model import Access


@register
class AccessesProjection(Projection):
    """Makes `Access`, inline: what is on record is on the page of accesses."""

    name = "accesses"
    handles = ("AccessRecorded", "AccessesInspected")
    inline = True
    model = Access
    conversation_field = "stream_id"
    erase = Projection.erase_rows

    def apply(self, events: Sequence[Event]) -> None:
        logs = months_in({event.stream_id for event in events})
        self.add([_row(event) for event in events if event.stream_id in logs])


def _row(event: Event) -> Access:
    row = Access(
        stream_id=event.stream_id,
        version=event.version,
        at=event.recorded_at,
        actor_id=event.actor_id,
    )
    data = event.data
    if isinstance(data, AccessesInspected):
        row.action, row.page, row.reason = "inspected", str(data.until)[:64], storable(data.remark)
    elif isinstance(data, AccessRecorded):
        row.action, row.page = storable(data.action)[:16], storable(data.page)[:64]
        row.conversations, row.owners = lines(data.conversations), lines(data.owners)
        if len(data.conversations) == 1:
            [row.conversation_id] = data.conversations
        row.address = storable(data.address)[:64]
        row.query, row.reason = storable(data.query), storable(data.reason)
    return row


def lines(values: Iterable[Any]) -> str:
    """Return values so that each can be found between line breaks; empty for none."""
    listed = "\n".join(storable(str(value)) for value in values)
    return f"\n{listed}\n" if listed else ""
