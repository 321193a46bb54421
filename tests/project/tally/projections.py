from collections.abc import Sequence

from django.db.models import F

from turnlog.events.models import Event
from turnlog.projections import Projection, register

from .models import Tally


@register
class TallyProjection(Projection):
    name = "tally"
    handles = ("MessageAppended",)
    model = Tally
    erase = Projection.apply_again

    def apply(self, events: Sequence[Event]) -> None:
        for event in events:
            tally, _ = Tally.objects.get_or_create(conversation_id=event.stream_id)
            letters = len(event.data.message["_value"]["content"])
            rows = Tally.objects.filter(pk=tally.pk)
            rows.update(messages=F("messages") + 1, letters=F("letters") + letters)
