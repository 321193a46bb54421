"""Pictures and files that people are about to send, kept until they are sent.

They are no events: nobody has said them yet. A page sends each file beforehand, and names it in its
message; the turn's start holds the file from then on, and the row is dropped. What is never sent is
dropped after an hour. A row belongs to one person and one conversation.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from ..core.errors import NotStored
from .store.confirmed import insert_one
from .tables.database import log_database
from .tables.upload import Upload

KEPT = dt.timedelta(hours=1)
"""How long a file waits to be sent."""

MOST_OF_PERSON = 200 * 1024 * 1024
"""Bytes that may wait for one person, and for all guests of one conversation together."""
MOST = 4 * 1024 * 1024 * 1024
"""Bytes that may wait for all people together."""


class NoRoom(Exception):
    """As much waits to be sent as may: of this person, or `of_all`."""

    def __init__(self, of_all: bool) -> None:
        super().__init__("expected room for a file, found as much waiting as may wait")
        self.of_all = of_all


def keep(stream_id: int, person: str, *, guest: bool = False, **file: Any) -> uuid.UUID:
    """Keep a file, and return the name that its message will use. Raises NoRoom, NotStored.

    All guests have one name as a person: what waits for them counts in this conversation alone.
    """
    drop_expired()
    rows = Upload.objects.using(log_database())
    size = len(file["content"])
    if _sum(rows.all()) + size > MOST:
        raise NoRoom(of_all=True)
    theirs = rows.filter(person=person)
    if guest:
        theirs = theirs.filter(stream_id=stream_id)
    if _sum(theirs) + size > MOST_OF_PERSON:
        raise NoRoom(of_all=False)
    id_ = uuid.uuid4()  # 122 random bits: nobody guesses it.
    insert_one(
        Upload,
        log_database(),
        id=id_,
        stream_id=stream_id,
        person=person,
        size=size,
        kept_at=timezone.now(),
        **file,
    )
    return id_


def found(stream_id: int, person: str, ids: Sequence[uuid.UUID]) -> list[Upload] | None:
    """Return a person's files in the order of their names; None if one of them is gone."""
    rows = Upload.objects.using(log_database()).filter(stream_id=stream_id, person=person)
    by_id = {row.pk: row for row in rows.filter(pk__in=ids, kept_at__gt=timezone.now() - KEPT)}
    return [by_id[id_] for id_ in ids] if by_id.keys() >= set(ids) else None


def drop(stream_id: int, person: str, ids: Collection[uuid.UUID]) -> None:
    """Drop a person's files: they are sent, or will not be."""
    rows = Upload.objects.using(log_database()).filter(stream_id=stream_id, person=person)
    rows.filter(pk__in=ids).delete()


def drop_expired() -> bool:
    """Drop what nobody has sent in time; return whether anything waits still."""
    rows = Upload.objects.using(log_database())
    rows.filter(kept_at__lte=timezone.now() - KEPT).delete()
    return rows.exists()


def erase(stream_id: int) -> None:
    """Drop what waits for a conversation in which words are erased. Raises NotStored."""
    _erase(stream_id=stream_id)


def forget(person: str) -> None:
    """Drop what waits for a person who is being forgotten. Raises NotStored."""
    _erase(person=person)


def _erase(**whose: Any) -> None:
    rows = Upload.objects.using(log_database()).filter(**whose)
    rows.delete()
    if left := rows.count():
        raise NotStored("turnlog_upload", f"expected no files that wait to be sent, found {left}")


def _sum(rows: Any) -> int:
    return rows.aggregate(sum=Sum("size"))["sum"] or 0
