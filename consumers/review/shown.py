"""What the review pages show of an event, a message and a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from ...core import codec
from ...core.codec.blobs import MARK
from ...core.errors import CodecError
from ...core.masking.documents import masked, masked_text
from ...core.masking.masker import Masker
from ...core.readable import LARGE, Readable, readable
from ...core.wellformed import wellformed
from ...events.branches import left_at
from ...events.models import Event, Position, SignedCheckpoint
from ...events.tables.database import log_database
from ...projections import SearchError
from ...projections.blobs import SHOWN, Room
from ...projections.models import SearchEntry
from ...projections.overview.finding import beginning
from ...projections.search.query import says
from ...projections.trail import Mark, Trail, TrailTurn
from ...projections.transcript import with_texts
from ..page.things import Thing
from ..page.turn_view import Piece, TurnView, as_text, view_of
from .access import Reviewed

LONGEST = 20_000
"""Characters of a payload that a page shows before somebody asks for all of it."""


@dataclass(frozen=True, slots=True)
class TurnShown:
    """A turn of a trail, and the transcript's view of it."""

    trail: TrailTurn
    view: TurnView
    mask: Masker | None = None

    @property
    def why(self) -> str:
        """Why there is no whole answer: the error as it was recorded, or the erasure's reason."""
        if self.view.erasure is not None:
            sentence = self.view.erasure.sentence
            return sentence if self.mask is None else self.mask.text(sentence)
        failure = self.view.failure or {}
        said = [failure.get("type", ""), failure.get("text", "")]
        return wellformed(": ".join(filter(None, said)))


def items_of(what: Reviewed, trail: Trail) -> list[TurnShown | Mark]:
    """Return what a page shows of a trail, in order."""
    room = Room()
    return [
        item if isinstance(item, Mark) else turn_shown(what, item, room) for item in trail.items
    ]


def turn_shown(what: Reviewed, item: TrailTurn, room: Room | None = None) -> TurnShown:
    """Return a turn with its view, and the tables and pictures of its tools.

    `room` is how much of large texts the page may still have.
    """
    mask = what.mask_for(item.events[0].actor_id)
    # A beginning would show the first half of what a mask finds as a whole.
    with_texts([item.turn], SHOWN if mask is None else None, room)
    view = view_of(item.turn, show_initial_prompt=True, mask=mask, show_calls=True)
    recorded = [event.version for event in item.events if event.type == "ToolOutputRecorded"]
    # What a failed turn's tools gave is within its TurnFailed: no event is a picture of theirs.
    versions = recorded if len(recorded) == len(item.turn.tools) else [None] * len(item.turn.tools)
    for piece in view.pieces:
        if piece["kind"] == "tool" and (number := view.recorded.get(piece["id"])) is not None:
            _complete(piece, item.turn.tools[number], mask)
            if (version := versions[number]) is not None:
                _address_pictures(piece["things"], item.events[0].stream_id, version)
    return TurnShown(item, view, mask)


def _complete(piece: Piece, tool: Mapping[str, Any], mask: Masker | None) -> None:
    if piece["status"] == "error" and not piece["output"]:
        # What a failed tool said is hidden from those who chat, not from reviewers.
        said = tool.get("text") or tool.get("output")
        piece["output"] = as_text(said if mask is None else masked(said, mask))


def _address_pictures(things: Sequence[Thing], pk: int, version: int) -> None:
    """Let the browser ask for the pictures of an event, each when it comes into sight."""
    for number, thing in enumerate(things):
        if thing["kind"] == "picture":
            thing["src"] = reverse("turnlog_review:picture", args=[pk, version, number])


_HITS, _AROUND = 50, 60
"""The most places that a search inside shows, and the characters before and after the words."""
_LOOKED_AT = 200
"""The most places that are looked at, if the words may be personal data that is masked."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where somebody said the words that were looked for; `left` says that it is in another
    branch than the current one."""

    version: int
    role: str
    text: str
    left: bool = False


def hits_of(what: Reviewed, words: str, until: int, *, finds_masked: bool = False) -> list[Hit]:
    """Return where words were said in a conversation up to a version, the last place first.

    As everywhere, a search finds parts of words, and what was cleared; what is erased is gone. What
    is masked is found with `finds_masked` alone: a search would tell that it is there.
    """
    entries = SearchEntry.objects.using(log_database()).filter(version__lte=until)
    if what.only is not None:
        entries = entries.filter(actor_id=what.only)
    try:
        found = entries.filter(conversation=what.conversation).search(words)
    except SearchError:
        return []
    hits: list[Hit] = []
    turns: list[Any] = []
    last = found.order_by("-version").defer("normalised")
    for entry in last[: _HITS if what.mask is None else _LOOKED_AT].iterator(chunk_size=_HITS):
        mask = what.mask_for(entry.actor_id)
        if mask is None:
            hits.append(Hit(entry.version, entry.role, _around(entry.text, words)))
        elif finds_masked or says(beginning(entry.text, mask.without), words):
            text = beginning(entry.text, mask.text)
            hits.append(Hit(entry.version, entry.role, _around(text, words)))
        turns[len(turns) :] = [entry.turn_id] * (len(hits) - len(turns))
        if len(hits) == _HITS:
            break
    left = left_at(what.conversation.pk, {turn for turn in turns if turn}, until)
    return [replace(hit, left=turn in left) for hit, turn in zip(hits, turns, strict=True)]


def _around(text: str, words: str) -> str:
    """The part of a text where the words are, or its beginning if they are apart."""
    place = max(text.lower().find(words.strip(' "').lower()), 0)
    start = max(place - _AROUND, 0)
    end = place + len(words) + _AROUND
    return "… " * (start > 0) + text[start:end] + " …" * (end < len(text))


def payload_of(event: Event, *, whole: bool = False, mask: Masker | None = None) -> Readable | None:
    """Return an event's payload for people; None if it is masked, and too large or too deep.

    Its blobs are left out: there is more of it then, for those who may see what is not masked.
    """
    stored: str | None = event.payload or ""
    has_blobs = mask is None and MARK in (event.payload or "")
    if stored and mask is not None:
        stored = masked_text(stored, mask)
    if stored is None:
        return None
    shown = readable(stored, LARGE if whole else LONGEST)
    return replace(shown, cut=shown.cut or has_blobs)


def metadata_of(event: Event, mask: Masker | None) -> str:
    """Return an event's metadata as it is stored, or masked; empty if it cannot be masked."""
    return event.metadata if mask is None else wellformed(masked_text(event.metadata, mask) or "")


@dataclass(frozen=True, slots=True)
class Said:
    """A message in whose place only its text is shown."""

    type: str
    text: str


def message_of(message: Any, mask: Masker | None) -> Any:
    """Return one of a prompt's messages, masked."""
    if mask is None:
        return message
    try:
        return codec.decode(masked(codec.encode(message), mask))
    except CodecError:
        # It cannot be stored, so nobody knows all that it holds.
        return Said(str(getattr(message, "type", "")), _("This message cannot be shown masked."))


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
