"""A file that a recorded message has: read from the log, for whoever may see that turn."""

from __future__ import annotations

import logging
from typing import Any

from ...core import codec
from ...core.attached import Attached, attached, bytes_of
from ...core.errors import CodecError, UnreadableEvent
from ...events.blobs import load
from ...events.models import Actor, Event
from ...events.tables.actor import is_user
from ...events.tables.database import log_database
from ...projections.outline import is_shown
from .checking import Checked

logger = logging.getLogger("turnlog")

_HUMAN = ("TurnStarted", "MessageAppended")


def file_of(stream_id: int, user: Any, version: int, number: int) -> Checked | None:
    """Return the file in a block of the message at a version; None if this person has none there.

    As the transcript, it is for whoever said it, and not once it was cleared.
    """
    event = event_at(stream_id, version)
    if event is None or event.turn_id is None:
        return None
    actor = Actor.objects.known(user)
    if event.actor_id != actor or (actor is None and is_user(user)):
        return None  # A user without a pseudonym has no turns; what has none is a guest's.
    return file_in(event, number) if is_shown(stream_id, event.turn_id) else None


def event_at(stream_id: int, version: int) -> Event | None:
    """Return an event that may have a message with files; None if there is none."""
    if not 0 < version < 2**31:
        return None
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id, version=version)
    return stream.filter(type__in=_HUMAN).first()


def file_in(event: Event, number: int) -> Checked | None:
    """Return the file in a block of an event's message; None if there is none that can be read."""
    message = _message_in(event)
    content = getattr(message, "content", None)
    if not isinstance(content, list):
        return None
    for each in attached(content, message.additional_kwargs):
        if each.number == number:
            return _read(each, content[number])
    return None


def _read(each: Attached, block: Any) -> Checked | None:
    try:
        data = bytes_of(block, each.kind, each.mime_type, load)
    except CodecError as error:
        logger.error("a file of a message cannot be read: %s", error)
        return None
    if data is None:
        return None
    return Checked(each.kind, each.name, each.mime_type, data, each.width, each.height)


def _message_in(event: Event) -> Any:
    if event.payload is None:
        return None  # It was erased.
    try:
        data: Any = event.words  # One file is read, and not all that the message has.
        return codec.decode(data.message)
    except (CodecError, UnreadableEvent, AttributeError):
        return None
