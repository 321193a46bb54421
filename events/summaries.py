"""Summaries of what was said: recorded, and found for the next prompt.

A summary stands for the entries of the message list from one version to another. It counts as long
as the last of them is still listed: clearing the conversation ends it, and erasing a turn that it
covers erases it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core import codec
from ..core.errors import ArgumentError, UnreadableEvent
from . import arguments
from .listed import LISTED, visible
from .log import NewEvent, append_decided
from .standing import Standing
from .tables.actor import Actor
from .tables.database import log_database
from .tables.event import Event
from .tables.literal import Literal
from .types import HistorySummarized

_LOOKED_AT = 3
"""The last summaries that are looked at: the one before an erased one still counts."""


class Summary(NamedTuple):
    """A summary's version, its message, and the versions of the entries that it covers."""

    version: int
    message: Any
    since: int
    until: int


def record(
    stream_id: int,
    message: Any,
    *,
    since: int,
    until: int,
    digest: str,
    model: str | None = None,
    user: Any = None,
) -> Event | None:
    """Append a summary of a user's entries of the message list, from one version to another.

    `message` is a HumanMessage or text; `digest` the SHA-256 in hex of what it was made of. Returns
    None, and appends nothing, if one of these entries was cleared or erased meanwhile, or if there
    is a later summary. Raises ArgumentError, CodecError.
    """
    arguments.require_user(user)
    if not 0 < since <= until:
        raise ArgumentError("since", f"a version from 1 to {until}", since)
    document = codec.encode(arguments.human_message(message, "message"))
    data = HistorySummarized(document, since, until, digest, model)

    def gather(standing: Standing) -> bool:
        known = latest(stream_id, user)
        return _is_whole(stream_id, since, until) and (known is None or known.until < until)

    def decide(standing: Standing, counts: bool) -> Sequence[NewEvent]:
        return [NewEvent(data, user=user)] if counts else ()

    stored = append_decided(stream_id, decide, gather)
    return stored[-1] if stored else None


def latest(stream_id: int, user: Any) -> Summary | None:
    """Return the last summary of a user's turns (None: guests') that still counts, if there is one.

    What it costs does not depend on the conversation's length.
    """
    guest = user is None or not user.is_authenticated
    actor_id = None if guest else Actor.objects.id_of(user)
    if actor_id is None and not guest:
        return None
    events = Event.objects.using(log_database()).filter(
        stream_id=stream_id, type=Literal("HistorySummarized"), actor_id=actor_id
    )
    for event in events.filter(payload__isnull=False).order_by("-version")[:_LOOKED_AT]:
        try:
            data = event.data
        except UnreadableEvent:
            continue
        if isinstance(data, HistorySummarized) and _is_listed(stream_id, data.until):
            return Summary(event.version, codec.decode(data.message), data.since, data.until)
    return None


def _is_listed(stream_id: int, version: int) -> bool:
    return bool(visible(stream_id, _ALL).filter(version=version, payload__isnull=False).exists())


def _is_whole(stream_id: int, since: int, until: int) -> bool:
    """Whether everything from one entry to another is still there. A clearing hides the first."""
    stream = Event.objects.using(log_database()).filter(stream_id=stream_id, type__in=LISTED)
    erased = stream.filter(version__gte=since, version__lte=until, payload__isnull=True)
    return _is_listed(stream_id, since) and _is_listed(stream_id, until) and not erased.exists()


_ALL = 2**31 - 1
