"""Reads what a client lacks of a conversation: exactly, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Literal as OneOf

from django.db.models import Case, F, TextField, When
from django.db.models.functions import Length

from ...core.errors import UnreadableEvent
from ...events.models import Event
from ...events.tables.database import log_database
from ...events.tables.literal import Literal
from ...events.types import PayloadErased
from .channels import Channel
from .cursor import BEGINNING, PROOF, Cursor, cursor_at
from .shown import LONGEST

MOST_BEHIND = 1_000
"""Events that a client may lack. One that lacks more starts again."""
_ERASURES = 50

Reason = OneOf["restored", "erased", "too_far"]
"""Why a client must start again: the log does not have what the client has, because it was restored
from a backup; something that the client has was erased; it is too far behind."""


@dataclass(frozen=True, slots=True)
class Part:
    """What comes after a cursor, and the cursor after it; or the reason to start again there."""

    events: Sequence[Event]
    cursor: Cursor
    more: bool = False
    reset: Reason | None = None


def head_of(channel: Channel) -> Cursor:
    """Return the cursor of whoever has everything that there is now."""
    last = _stream(channel).order_by("-version").values_list("version", "hash").first()
    return cursor_at(*last) if last else BEGINNING


def read_after(channel: Channel, cursor: Cursor, limit: int, *, words: bool = True) -> Part:
    """Return at most `limit` events that the channel's reader may see. Four queries at most.

    Without `words`, of each only its version and hash.
    """
    head = head_of(channel)
    if not _is_of_this_log(channel, cursor, head):
        return Part([], head, reset="restored")
    if head.number - cursor.number > MOST_BEHIND:
        return Part([], head, reset="too_far")
    if head == cursor:
        return Part([], head)
    if _was_erased(channel, cursor, head):
        return Part([], head, reset="erased")
    seen = _seen(channel).filter(version__gt=cursor.number, version__lte=head.number)
    chosen = _bounded(seen) if words else seen.only("stream_id", "version", "hash")
    found = list(chosen.order_by("version")[: limit + 1])
    if len(found) <= limit:
        return Part(found, head)
    return Part(found[:limit], cursor_at(found[limit - 1].version, found[limit - 1].hash), True)


def _is_of_this_log(channel: Channel, cursor: Cursor, head: Cursor) -> bool:
    if cursor.number > head.number:
        return False
    if cursor.number == head.number:
        return cursor == head
    if cursor.number == 0:
        return cursor == BEGINNING
    stored = _stream(channel).filter(version=cursor.number).values_list("hash", flat=True).first()
    return stored is not None and bytes(stored[:PROOF]) == cursor.proof


def _was_erased(channel: Channel, cursor: Cursor, head: Cursor) -> bool:
    """Return whether words that the client may have were erased since."""
    records = _stream(channel).filter(
        type=Literal("PayloadErased"),
        version__gt=cursor.number,
        version__lte=head.number,
    )
    found = list(records.order_by("version")[: _ERASURES + 1])
    if len(found) > _ERASURES:
        return True
    versions = {each for record in found for each in _named(record) if each <= cursor.number}
    if not versions or channel.only is None:
        return bool(versions)
    return bool(_seen(channel).filter(version__in=versions).exists())


def _named(record: Event) -> Sequence[int]:
    try:
        data = record.data
    except UnreadableEvent:
        data = None
    return data.versions if isinstance(data, PayloadErased) else []


def _bounded(events: Any) -> Any:
    """Leave payloads in the database that are too long to be sent."""
    small = When(length__lte=LONGEST, then=F("payload"))
    sized = events.annotate(length=Length("payload"))
    return sized.annotate(short=Case(small, output_field=TextField())).defer(
        "payload", "metadata", "salt", "digest"
    )


def _stream(channel: Channel) -> Any:
    assert channel.stream_id is not None  # The list has no events.
    return Event.objects.using(log_database()).filter(stream_id=channel.stream_id)


def _seen(channel: Channel) -> Any:
    seen = _stream(channel)
    return seen if channel.only is None else seen.filter(actor_id=channel.only)
