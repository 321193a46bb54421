"""Make a projection's rows: with each batch, and in a rebuild."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .applying import apply_or_park
from .contract import Contract, SetBased
from .reading import events_of, given

if TYPE_CHECKING:
    from ...events.models import Event


def rebuild_rows(projection: Contract, streams: Sequence[int], until: int | None = None) -> None:
    """Reset these conversations and apply their events, up to position `until` if given.

    The caller holds the locks that keep writers and the worker away. Raises ProjectionFailed.
    """
    if isinstance(projection, SetBased):
        projection.rebuild(streams, until)
        return
    projection.reset(streams)
    for events in events_of(streams, projection, until):
        apply_or_park(projection, events)


def wanted(projection: Contract, events: Sequence[Event]) -> list[Event]:
    """Return those of the events that the projection's `apply` is given."""
    return [
        event
        for event in given(events, projection)
        if event.type in projection.handles
        and (projection.takes_erased or event.payload is not None)
    ]


class Inline:
    """An inline projection as the log sees it (`hooks.InlineProjection`)."""

    def __init__(self, projection: Contract, insert: str) -> None:
        self.insert = insert
        self._projection = projection
        # Once: asking a protocol takes a tenth of an append.
        self._set_based = projection if isinstance(projection, SetBased) else None

    def follows(self, events: Sequence[Event]) -> bool:
        """Return whether `follow` has anything to do for a batch."""
        if self._set_based is not None:
            return self._set_based.follows(events)
        return not self.insert and any(event.type in self._projection.handles for event in events)

    def follow(self, events: Sequence[Event]) -> None:
        """Apply a batch that is being appended; `insert` has run with it already."""
        if self._set_based is not None:
            self._set_based.follow(events)
        elif not self.insert and (mine := wanted(self._projection, events)):
            self._projection.apply(mine)
