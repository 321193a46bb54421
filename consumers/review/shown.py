"""What the review pages show of an event, a message and a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from ...core.readable import LARGE, Readable, readable
from ...core.wellformed import wellformed
from ...events.models import Event, Position, SignedCheckpoint
from ...events.tables.database import log_database
from ...projections import SearchError
from ...projections.models import SearchEntry
from ...projections.trail import Mark, Trail, TrailTurn
from ..page.turn_view import Piece, TurnView, as_text, view_of
from .access import Reviewed
from .things import is_picture, table_of

LONGEST = 20_000
"""Characters of a payload that a page shows before somebody asks for all of it."""


@dataclass(frozen=True, slots=True)
class TurnShown:
    """A turn of a trail, and the transcript's view of it."""

    trail: TrailTurn
    view: TurnView

    @property
    def why(self) -> str:
        """Why there is no whole answer: the error as it was recorded, or the erasure's reason."""
        if self.view.erasure is not None:
            return self.view.erasure.sentence
        failure = self.view.failure or {}
        said = [failure.get("type", ""), failure.get("text", "")]
        return wellformed(": ".join(filter(None, said)))


def items_of(trail: Trail) -> list[TurnShown | Mark]:
    """Return what a page shows of a trail, in order."""
    return [item if isinstance(item, Mark) else turn_shown(item) for item in trail.items]


def turn_shown(item: TrailTurn) -> TurnShown:
    """Return a turn with its view, and the tables and pictures of its tools."""
    view = view_of(item.turn, show_initial_prompt=True)
    recorded = [event.version for event in item.events if event.type == "ToolOutputRecorded"]
    # What a failed turn's tools gave is within its TurnFailed: no event is a picture of theirs.
    versions = recorded if len(recorded) == len(item.turn.tools) else [None] * len(item.turn.tools)
    for piece in view.pieces:
        if piece["kind"] == "tool":
            number = int(piece["id"])
            _complete(piece, item.turn.tools[number], versions[number])
    return TurnShown(item, view)


def _complete(piece: Piece, tool: Mapping[str, Any], version: int | None) -> None:
    output = tool.get("output")
    if piece["status"] == "error" and not piece["output"]:
        # What a failed tool said is hidden from those who chat, not from reviewers.
        piece["output"] = as_text(tool.get("text") or output)
    piece["table"] = table_of(output)
    piece["picture"] = version if is_picture(output) else None


_HITS, _AROUND = 50, 60
"""The most places that a search inside shows, and the characters before and after the words."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where somebody said the words that were looked for."""

    version: int
    role: str
    text: str


def hits_of(what: Reviewed, words: str, until: int) -> list[Hit]:
    """Return where words were said in a conversation up to a version, the last place first.

    As everywhere, a search finds parts of words, and what was cleared; what is erased is gone.
    """
    entries = SearchEntry.objects.using(log_database()).filter(version__lte=until)
    if what.only is not None:
        entries = entries.filter(actor_id=what.only)
    try:
        found = entries.filter(conversation=what.conversation).search(words)
    except SearchError:
        return []
    return [
        Hit(entry.version, entry.role, _around(entry.text, words))
        for entry in found.order_by("-version")[:_HITS]
    ]


def _around(text: str, words: str) -> str:
    """The part of a text where the words are, or its beginning if they are apart."""
    place = max(text.lower().find(words.strip(' "').lower()), 0)
    start = max(place - _AROUND, 0)
    end = place + len(words) + _AROUND
    return "… " * (start > 0) + text[start:end] + " …" * (end < len(text))


def payload_of(event: Event, *, whole: bool = False) -> Readable:
    """Return an event's payload for people."""
    return readable(event.payload or "", LARGE if whole else LONGEST)


@dataclass(frozen=True, slots=True)
class Proof:
    """Where an event is in the whole log, and which signed checkpoint covers it; None: none yet."""

    position: int | None
    checkpoint: SignedCheckpoint | None

    @property
    def sentence(self) -> str:
        """What that means, in the active language."""
        if self.position is None:
            return _("It has no position yet, so no checkpoint covers it.")
        if self.checkpoint is None:
            return _("No signed checkpoint covers it yet.")
        return _("The signed checkpoint over the first %(size)d positions covers it.") % {
            "size": self.checkpoint.size
        }


def proof_of(event: Event) -> Proof:
    """Return where an event is in the log and which checkpoint was the first to cover it."""
    using = log_database()
    place = Position.objects.using(using).filter(stream_id=event.stream_id, version=event.version)
    position = place.values_list("position", flat=True).first()
    if position is None:
        return Proof(None, None)
    covering = SignedCheckpoint.objects.using(using).filter(size__gte=position)
    return Proof(position, covering.order_by("size", "id").first())
