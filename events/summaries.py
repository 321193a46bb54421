"""Summaries of what was said: recorded, and found for the next prompt.

A summary stands for the entries of the message list from one version to another. It counts as long
as the last of them is still listed: clearing the conversation ends it, and erasing a turn that it
covers erases it too.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core import codec
from ..core.errors import ArgumentError, UnreadableEvent
from . import arguments
from .listed import visible
from .log import NewEvent, append_decided
from .standing import Standing
from .tables.actor import Actor, is_user
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
    versions: Sequence[int],
    after: Summary | None = None,
    digest: str,
    model: str | None = None,
    user: Any = None,
) -> Event | None:
    """Append a summary of the last one, `after`, and of a user's entries of the message list since.

    `message` is a HumanMessage or text; `versions` are those of all entries that it was made of, in
    order; `digest` is the SHA-256 in hex of what it was made of. Returns None, and appends nothing,
    if by now there is another summary, if others are the user's entries up to the last of these, as
    one was cleared or erased or is in another branch, or if the user was forgotten. Raises
    ArgumentError, CodecError.
    """
    arguments.require_user(user)
    first = 1 if after is None else after.until + 1
    if not versions or versions[0] < first:
        raise ArgumentError("versions", f"versions from {first} on, at least one", versions)
    since, until = versions[0] if after is None else after.since, versions[-1]
    document = codec.encode(arguments.human_message(message, "message"))
    data = HistorySummarized(document, since, until, digest, model)

    def gather(standing: Standing) -> Sequence[NewEvent]:
        actor_id = Actor.objects.known(user)
        if is_user(user) and actor_id is None:
            return ()
        last = latest(stream_id, user)
        if (last and last.version) != (after and after.version):
            return ()
        if _between(stream_id, actor_id, first, until) != list(versions):
            return ()
        # By the pseudonym, in case that the user is forgotten now: a new one beside these versions
        # would say who the old one was.
        return [NewEvent(data, actor_id=actor_id)]

    stored = append_decided(stream_id, lambda _, events: events, gather)
    return stored[-1] if stored else None


def latest(stream_id: int, user: Any) -> Summary | None:
    """Return the last summary of a user's turns (None: guests') that still counts, if there is one.

    What it costs does not depend on the conversation's length.
    """
    actor_id = Actor.objects.known(user)
    if actor_id is None and is_user(user):
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


def _between(stream_id: int, actor_id: uuid.UUID | None, first: int, last: int) -> list[int]:
    """The versions of an actor's entries of the message list from one version to another."""
    listed = visible(stream_id, _ALL).filter(actor_id=actor_id, payload__isnull=False)
    there = listed.filter(version__gte=first, version__lte=last)
    return list(there.values_list("version", flat=True))


_ALL = 2**31 - 1
