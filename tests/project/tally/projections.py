import os
import sys
from collections.abc import Sequence

from django.db.models import F

from turnlog.events.models import Event
from turnlog.projections import Projection, register

from .models import Line, Tally


@register
class TallyProjection(Projection):
    name = "tally"
    handles = ("MessageAppended",)
    model = Tally
    erase = Projection.apply_again

    def apply(self, events: Sequence[Event]) -> None:
        for event in events:
            text = event.data.message["_value"]["content"]
            if text == os.environ.get("TURNLOG_TEST_POISON"):
                raise ValueError("poison")
            if text == os.environ.get("TURNLOG_TEST_HALT"):
                sys.stdin.read()  # Until it is killed.
            tally, _ = Tally.objects.get_or_create(conversation_id=event.stream_id)
            rows = Tally.objects.filter(pk=tally.pk)
            rows.update(messages=F("messages") + 1, letters=F("letters") + len(text))


@register
class LinesProjection(Projection):
    name = "lines"
    handles = ("MessageAppended", "ToolOutputRecorded")
    model = Line
    erase = Projection.apply_again

    def apply(self, events: Sequence[Event]) -> None:
        names = ("conversation_id", "version", "turn_id", "actor_id", "content", "created_at")
        self.add_values(
            names,
            (
                (e.stream_id, e.version, e.turn_id, e.actor_id, e.payload, e.recorded_at)
                for e in events
            ),
        )
