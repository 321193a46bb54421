"""The accesses projection: who has seen whose conversations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...events.beside import months_in
from ...events.models import Event
from ...events.types import AccessRecorded
from ..engine.projection import Projection
from ..engine.registry import register
from ..engine.storable import storable
from .model import Access


@register
class AccessesProjection(Projection):
    """Makes `Access`, inline: what is on record is on the page of accesses."""

    name = "accesses"
    handles = ("AccessRecorded",)
    inline = True
    model = Access
    conversation_field = "stream_id"
    erase = Projection.erase_rows

    def apply(self, events: Sequence[Event]) -> None:
        logs = months_in({event.stream_id for event in events})
        self.add([_row(event, event.data) for event in events if event.stream_id in logs])

    def forget_user(self, user: Any) -> None:
        """Nothing: the rows have pseudonyms alone."""


def _row(event: Event, data: Any) -> Access:
    assert isinstance(data, AccessRecorded)  # It is all that is handled.
    [only] = data.conversations if len(data.conversations) == 1 else [None]
    return Access(
        stream_id=event.stream_id,
        version=event.version,
        at=event.recorded_at,
        actor_id=event.actor_id,
        action=storable(data.action)[:16],
        page=storable(data.page)[:64],
        conversation_id=only,
        conversations=lines(data.conversations),
        owners=lines(data.owners),
        address=storable(data.address)[:64],
        query=storable(data.query),
        reason=storable(data.reason),
    )


def lines(values: Iterable[Any]) -> str:
    """Return values so that each can be found between line breaks; empty for none."""
    listed = "\n".join(storable(str(value)) for value in values)
    return f"\n{listed}\n" if listed else ""
