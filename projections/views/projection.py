"""The views projection: the searches that reviewers have saved."""

from __future__ import annotations

from collections.abc import Sequence

from ...events.beside import VIEWS, found
from ...events.models import Event
from ...events.tables.database import log_database
from ...events.types import ViewChosen, ViewRemoved, ViewSaved
from ..engine.projection import Projection
from ..engine.registry import register
from ..engine.storable import storable
from .model import SavedView


@register
class ViewsProjection(Projection):
    """Makes `SavedView`, inline: who saves a search finds it at once."""

    name = "views"
    handles = ("ViewSaved", "ViewRemoved", "ViewChosen")
    inline = True
    model = SavedView
    conversation_field = "stream_id"
    # What an erased one had replaced holds again.
    erase = Projection.apply_again

    def apply(self, events: Sequence[Event]) -> None:
        stream = found(VIEWS)
        for event in events:
            if event.stream_id == stream:
                self._apply(event)

    def _apply(self, event: Event) -> None:
        rows = self.of_streams([event.stream_id])
        new = SavedView(stream_id=event.stream_id, version=event.version)
        match event.data:
            case ViewSaved(name=name, query=query):
                new.name, new.query = storable(name)[:64], storable(query)
                rows.filter(chosen_by=None, name=new.name).delete()
                self.add([new])
            case ViewRemoved(name=name):
                # A choice of it stays, and finds nothing until the name is given again.
                rows.filter(chosen_by=None, name=storable(name)[:64]).delete()
            case ViewChosen(name=name):
                new.name, new.chosen_by = storable(name)[:64], event.actor_id
                rows.filter(chosen_by=event.actor_id, chosen_by__isnull=False).delete()
                if new.chosen_by is not None and name:
                    self.add([new])


MOST = 200
"""Saved views that are listed."""


def saved_views() -> list[SavedView]:
    """Return the searches that have a name, in its order; at most `MOST`."""
    return list(
        SavedView.objects.using(log_database()).filter(chosen_by=None).order_by("name")[:MOST]
    )
