"""The reviews projection: what reviewers wrote, as it stands."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from ...events.beside import reviewed_in
from ...events.models import Event
from ...events.types import NoteAdded, NoteWithdrawn, ReviewSignedOff, ScoreGiven
from ..engine.projection import Projection
from ..engine.registry import register
from ..engine.storable import storable
from .model import Remark


@register
class ReviewsProjection(Projection):
    """Makes `Remark`, inline: who writes a note sees it at once."""

    name = "reviews"
    handles = ("NoteAdded", "NoteWithdrawn", "ScoreGiven", "ReviewSignedOff")
    inline = True
    model = Remark
    conversation_field = "stream_id"
    # What an erased remark had replaced is erased as well, or it holds again.
    erase = Projection.apply_again

    def apply(self, events: Sequence[Event]) -> None:
        conversations = reviewed_in({event.stream_id for event in events})
        for event in events:
            if (conversation := conversations.get(event.stream_id)) is None:
                continue
            for replaced in self._replaced(event):
                replaced.delete()
            if (row := _row(event, conversation)) is not None:
                self.add([row])

    def _replaced(self, event: Event) -> Iterator[Any]:
        """Yield query sets of the rows that do not hold from this event on."""
        rows = self.of_streams([event.stream_id])
        match event.data:
            case NoteWithdrawn(version=version):
                yield rows.filter(kind="note", version=version)
            case ScoreGiven(name=name, turn=turn):
                yield rows.filter(
                    kind="score", actor_id=event.actor_id, name=_name(name), turn_id=_turn(turn)
                )
            case ReviewSignedOff():
                yield rows.filter(kind="signed", actor_id=event.actor_id)


def _row(event: Event, conversation: int) -> Remark | None:
    row = Remark(
        stream_id=event.stream_id,
        version=event.version,
        conversation_id=conversation,
        actor_id=event.actor_id,
        at=event.recorded_at,
    )
    match event.data:
        case NoteAdded(text=text, turn=turn, quote=quote):
            row.kind, row.turn_id = "note", _turn(turn)
            row.text, row.quote = storable(text), storable(quote)
        case ScoreGiven(name=name, value=value, turn=turn, comment=comment):
            row.kind, row.turn_id = "score", _turn(turn)
            row.name, row.value, row.text = _name(name), json.dumps(value), storable(comment)
        case ReviewSignedOff(until=until, remark=remark):
            row.kind, row.until, row.text = "signed", until, storable(remark)
        case _:
            return None
    return row


def _name(name: str) -> str:
    return storable(name)[:64]


def _turn(turn: str | None) -> uuid.UUID | None:
    try:
        return None if turn is None else uuid.UUID(turn)
    except ValueError:  # Something else than turnlog wrote it.
        return None
