"""Reads from the log what has been erased: for displays, and for receipts."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from ...core.errors import UnreadableEvent
from ..tables.database import log_database
from ..tables.event import Event
from ..types import PayloadErased
from .receipts import ErasedEvent, Receipt, Record

_TYPE = "PayloadErased"
_IN_ONE_QUERY = 500


@dataclass(frozen=True, slots=True)
class Erasure:
    """Why an event has no payload: `record` is the PayloadErased's version, `by` its actor."""

    version: int
    record: int
    at: dt.datetime
    by: uuid.UUID | None
    reason: str

    @property
    def sentence(self) -> str:
        """The sentence to show in place of the erased words, in the active language."""
        day = date_format(timezone.localtime(self.at), "DATE_FORMAT")
        return _("Erased on %(day)s for %(reason)s") % {"day": day, "reason": self.reason}


def erasures_of(stream_id: int) -> dict[int, Erasure]:
    """All erasures of a stream, by the version of what was erased."""
    return erasures_in([stream_id]).get(stream_id, {})


def erasures_in(stream_ids: Collection[int]) -> dict[int, dict[int, Erasure]]:
    """The same for several streams, by stream. One query."""
    found: dict[int, dict[int, Erasure]] = {}
    for event in _records().filter(stream_id__in=stream_ids):
        of_stream = found.setdefault(event.stream_id, {})
        named = _named(event)
        for version in named.versions:
            erasure = Erasure(
                version, event.version, event.recorded_at, event.actor_id, named.reason
            )
            # The first record counts: a later one that names the same version erased nothing.
            of_stream.setdefault(version, erasure)
    return found


def receipts() -> Iterator[Receipt]:
    """Yield a receipt for each PayloadErased of the log, by conversation and version.

    An erasure in several conversations, or of many events, has several of them.
    """
    stream_id = version = 0
    while True:
        # In pages, so that no server-side cursor has to stay open.
        later = _records().extra(
            where=["(stream_id, version) > (%s, %s)"], params=[stream_id, version]
        )
        page = list(later[:_IN_ONE_QUERY])
        for event in page:
            yield _receipt(event)
        if len(page) < _IN_ONE_QUERY:
            return
        stream_id, version = page[-1].stream_id, page[-1].version


def opening_hash(stream_id: int) -> str:
    """The hash of a conversation's first event, in hex; empty if nothing was recorded yet."""
    first = Event.objects.using(log_database()).filter(stream_id=stream_id, version=1)
    hash_ = first.values_list("hash", flat=True).first()
    return "" if hash_ is None else bytes(hash_).hex()


def _receipt(event: Event) -> Receipt:
    named = _named(event)
    versions = named.versions
    erased: list[Any] = []
    stream = Event.objects.using(log_database()).filter(stream_id=event.stream_id)
    for start in range(0, len(versions), _IN_ONE_QUERY):
        some = stream.filter(version__in=versions[start : start + _IN_ONE_QUERY])
        erased += some.order_by("version").values_list("version", "type", "digest", "turn_id")
    return Receipt(
        conversation=event.stream_id,
        reason=named.reason,
        by=event.actor_id,
        at=event.recorded_at,
        records=(Record(event.version, bytes(event.hash).hex()),),
        events=tuple(ErasedEvent(v, type_, bytes(digest).hex()) for v, type_, digest, _ in erased),
        turns=tuple(dict.fromkeys(turn_id for *_, turn_id in erased if turn_id)),
        title=named.title,
        opening=opening_hash(event.stream_id),
    )


def _named(event: Event) -> PayloadErased:
    """What an event names; nothing, if something other than turnlog wrote it."""
    try:
        data = event.data
    except UnreadableEvent:
        data = None
    return data if isinstance(data, PayloadErased) else PayloadErased([], "")


def _records() -> Any:
    records = Event.objects.using(log_database()).filter(type=_TYPE)
    return records.order_by("stream_id", "version")
