"""What an erasure does, for projections that are tested before and after one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from turnlog.events.log import NewEvent, append
from turnlog.events.models import Event
from turnlog.events.types import PayloadErased
from turnlog.projections.projection import Projection
from turnlog.projections.rebuild import locked


def erase_turns(
    conversation: Any, turn_ids: Sequence[uuid.UUID], projections: Sequence[Projection]
) -> None:
    """The payloads of whole turns go from the log, and from the rows of projections."""
    of_turns = Event.objects.filter(stream_id=conversation.pk, turn_id__in=turn_ids)
    of_turns = of_turns.exclude(payload=None)
    versions = list(of_turns.order_by("version").values_list("version", flat=True))
    if not versions:
        return
    append(conversation.pk, [NewEvent(PayloadErased(versions, "request 7"))])
    stream = Event.objects.filter(stream_id=conversation.pk)
    stream.filter(version__in=versions).update(payload=None, salt=None)
    events = list(stream.filter(version__in=versions).order_by("version"))
    for projection in projections:
        with locked(projection, [conversation.pk]):
            projection.erase(events)
