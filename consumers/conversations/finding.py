"""A person's conversations, page by page, the latest activity first."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from ...events.models import Conversation
from ...events.tables.database import log_database
from ...projections.models import SearchEntry
from ...projections.search.query import is_indexed

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_LATELY = 10_000
"""A person's utterances that are looked through where no index helps: one or two characters."""
_PLACE = re.compile(r"(\d{1,17})-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """Some conversations, each with the time `at` of its last activity; `after` finds the next
    page, if there is one."""

    conversations: Sequence[Any]
    after: str = ""


def page_of(
    conversations: QuerySet[Conversation], user: Any, words: str, *, after: str = "", size: int
) -> Page:
    """Return a page of some conversations: all, or those with words in their title or in what a
    user's turns say now.

    A conversation is where its activity places it once the worker has seen it; until then, where it
    was created. `after` is what the page before it gave; anything else begins at the beginning.
    Raises SearchError for words that cannot be looked for.
    """
    if words:
        conversations = conversations.filter(
            Q(title__icontains=words) | Q(pk__in=_saying(words, user))
        )
    rows = conversations.annotate(at=Coalesce("overview__last_at", "created_at"))
    if place := _PLACE.fullmatch(after):
        at, pk = _EPOCH + int(place[1]) * _MICROSECOND, int(place[2])
        rows = rows.filter(Q(at__lt=at) | Q(at=at, pk__lt=pk))
    found: list[Any] = list(rows.order_by("-at", "-pk")[: size + 1])
    more = len(found) > size
    return Page(found[:size], _place(found[size - 1]) if more else "")


def _saying(words: str, user: Any) -> Any:
    using = log_database()
    entries = SearchEntry.objects.using(using).of(user)
    if not is_indexed(words, connections[using]):
        entries = entries.lately(_LATELY)
    return entries.search(words).listed().order_by().values("conversation_id")


def _place(row: Any) -> str:
    return f"{(row.at - _EPOCH) // _MICROSECOND}-{row.pk}"
