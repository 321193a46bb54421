"""The conversations that a query means, page by page."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connections
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import Left, RowNumber
from django.utils.translation import gettext as _

from ...core.users import users_named
from ...events.models import Actor, Event
from ...events.tables.database import log_database
from ..reviews.model import Remark
from ..search.model import SearchEntry
from ..search.query import is_indexed, says
from ..usage.model import Usage
from .model import Overview
from .projection import plain_name
from .query import Condition, QueryError, parse

_LATELY = 10_000
"""Utterances that are read for a word without an index."""
_LOOKED_AT = 5
"""Utterances of each conversation that are read to see whether somebody can read a word there."""
_CHARACTERS, _END = 20_000, 300
"""Characters of each that are read, and those at their end that do not count: a value may be cut
there."""
_ROUNDS = 5
"""How many pages of conversations are looked through for one row that somebody can read."""

_STATES = {
    "failed": Q(failed__gt=0),
    "stopped": Q(stopped__gt=0),
    "interrupted": Q(interrupted__gt=0),
    "cleared": Q(clearings__gt=0),
    "erased": Q(erasures__gt=0),
    "held": Q(held=True),
    "waiting": Q(waiting_turn__isnull=False),
}
_REMARKS = Remark.objects.filter(conversation=OuterRef("pk")).order_by()
_NOTES = _REMARKS.filter(kind="note")
_SIGNED = _REMARKS.filter(kind="signed")
_THINGS = {"tool": Q(tool_calls__gt=0), "image": Q(images__gt=0), "note": Q(Exists(_NOTES))}

# Counted for the rows of one page alone.
_WRITTEN: dict[str, Any] = {
    "notes": Subquery(_NOTES.values("conversation").annotate(n=Count("pk")).values("n")),
    "signed": Subquery(_SIGNED.values("conversation").annotate(n=Max("until")).values("n")),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Some conversations, the latest activity first; `after` finds the next page, if any.

    `lately` says that a word was looked for among the last 10,000 utterances only, because it is
    too short for SQLite's index.
    """

    rows: Sequence[Overview]
    after: str = ""
    lately: bool = False


def page_of(
    query: str,
    *,
    of: QuerySet[Overview] | None = None,
    said_by: Any = None,
    reviewer: Any = None,
    after: str = "",
    size: int = 50,
    read: Callable[[int, str], str] | None = None,
) -> Page:
    """Return the conversations that a query means, of those in `of` (default: all).

    Words are looked for in the turns of the user `said_by` alone (None: of everybody). What
    reviewers wrote counts for a `reviewer` only, whose rows say how many `notes` there are and up
    to which version somebody `signed` off. `after` is what the page before it gave.
    `read(conversation_id, text)` gives what somebody who must not read all of it can read of an
    utterance: words are looked for in that. Takes one query, or with `read` a few, however much was
    said. Raises QueryError.
    """
    conditions = parse(query)
    said = [each for each in conditions if each.key == "text"]
    lately = not all(_is_indexed(word) for each in said for word in each.values)
    if read is not None:
        # That a word of these is not there would tell that it is there, masked.
        conditions = [each for each in conditions if each.key != "text" or not each.negated]
    rows = Overview.objects.using(log_database()) if of is None else of
    rows = rows.filter(matching(conditions, said_by, reviewer)).select_related("conversation__user")
    if reviewer is not None:
        rows = rows.annotate(**_WRITTEN)
    kept: list[Overview] = []
    for _round in range(_ROUNDS):
        found = list(_following(rows, after).order_by("-last_at", "-pk")[: size + 1])
        more = len(found) > size
        after = _cursor(found[size - 1]) if more else ""
        kept = found[:size] if read is None else _readable(found[:size], said, said_by, read)
        if kept or not more:
            break
    # Without a row, a way to more of them would tell that there were some.
    return Page(kept, after if kept else "", lately)


def _following(rows: QuerySet[Overview], after: str) -> QuerySet[Overview]:
    if not after:
        return rows
    last_at, pk = _place(after)
    return rows.filter(Q(last_at__lt=last_at) | Q(last_at=last_at, pk__lt=pk))


def _readable(
    rows: Sequence[Overview],
    said: Sequence[Condition],
    said_by: Any,
    read: Callable[[int, str], str],
) -> list[Overview]:
    """Keep the rows whose words somebody can read, of those in which the words are."""
    kept = list(rows)
    for condition in said:
        saying: set[int] = set()
        for words in condition.values:
            saying |= _saying(words, [row.pk for row in kept], said_by, read)
        kept = [row for row in kept if (row.pk in saying) != condition.negated]
    return kept


def _saying(
    words: str, pks: Sequence[int], said_by: Any, read: Callable[[int, str], str]
) -> set[int]:
    """Return the conversations that say words where they can be read: in the last few places."""
    entries = _entries(words, said_by).filter(conversation_id__in=pks)
    place = Window(RowNumber(), partition_by="conversation_id", order_by="-version")
    start = Left("text", _CHARACTERS)
    last = entries.order_by().annotate(place=place, start=start).filter(place__lte=_LOOKED_AT)
    saying: set[int] = set()
    for pk, text in last.values_list("conversation_id", "start").iterator(chunk_size=100):
        if pk not in saying and says(beginning(text, partial(read, pk)), f'"{words}"'):
            saying.add(pk)
    return saying


def beginning(text: str, read: Callable[[str], str]) -> str:
    """Return what somebody can read of a text's beginning."""
    if len(text) < _CHARACTERS:
        return read(text)
    return read(text[:_CHARACTERS])[:-_END]


def matching(conditions: Sequence[Condition], said_by: Any = None, reviewer: Any = None) -> Q:
    """Return what must hold of an `Overview`. Raises QueryError."""
    reviewed = partial(_reviewed, reviewer=reviewer)
    meant = {**_MEANT, "text": partial(_text, said_by=said_by), "reviewed": reviewed}
    matched = Q()
    for condition in conditions:
        if reviewer is None and _is_of_reviewers(condition):
            raise QueryError(_("Only reviewers can ask for notes and for what is reviewed."))
        anyone = Q()
        for value in condition.values:
            anyone |= meant[condition.key](value)
        matched &= ~anyone if condition.negated else anyone
    return matched


def _is_of_reviewers(condition: Condition) -> bool:
    return condition.key == "reviewed" or (condition.key == "has" and "note" in condition.values)


def _reviewed(by: str, reviewer: Any) -> Q:
    if by == "none":
        return ~Q(Exists(_SIGNED))
    actors = Actor.objects.filter(user=reviewer).values("pk")
    return Q(Exists(_SIGNED.filter(actor_id__in=actors)))


def _text(words: str, said_by: Any) -> Q:
    return Q(pk__in=_entries(words, said_by).order_by().values("conversation_id"))


def _entries(words: str, said_by: Any) -> QuerySet[SearchEntry]:
    entries = SearchEntry.objects.using(log_database())
    if said_by is not None:
        entries = entries.of(said_by)
    if not _is_indexed(words):
        entries = entries.lately(_LATELY)
    return entries.search(f'"{words}"')


def _is_indexed(words: str) -> bool:
    return is_indexed(f'"{words}"', connections[log_database()])


def _user(name: str) -> Q:
    users = users_named(name)
    spoke = Usage.objects.filter(conversation_id=OuterRef("pk"), user__in=users)
    return Q(conversation__user__in=users) | Q(Exists(spoke))


def _named(field: str) -> Any:
    return lambda name: Q(**{f"{field}__contains": f"\n{plain_name(name)}\n"})


def _tokens(bounds: tuple[int | None, int | None]) -> Q:
    low, high = bounds
    above = Q() if low is None else Q(tokens__gte=low)
    return above if high is None else above & Q(tokens__lte=high)


def _created(days: tuple[dt.datetime | None, dt.datetime | None]) -> Q:
    # Any activity within these days: a long conversation is not hidden by when it began.
    begin, end = days
    since = Q() if begin is None else Q(last_at__gte=begin)
    return since if end is None else since & Q(began_at__lt=end)


def _id(wanted: int | uuid.UUID) -> Q:
    if isinstance(wanted, int):
        return Q(pk=wanted)
    events = Event.objects.using(log_database()).filter(stream_id=OuterRef("pk"), turn_id=wanted)
    return Q(Exists(events))


_MEANT: dict[str, Any] = {
    "user": _user,
    "model": _named("model_names"),
    "tool": _named("tool_names"),
    "type": _named("type_names"),
    "state": _STATES.__getitem__,
    "has": _THINGS.__getitem__,
    "created": _created,
    "tokens": _tokens,
    "id": _id,
}


def _cursor(row: Overview) -> str:
    text = json.dumps([row.last_at.isoformat(), row.pk])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[dt.datetime, int]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        last_at, pk = json.loads(text)
        at = dt.datetime.fromisoformat(last_at)
        if at.tzinfo is None or type(pk) is not int or abs(pk) >= 2**63:
            raise ValueError
        return at.astimezone(dt.UTC), pk
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        raise QueryError(
            _("Expected the address of a page of this list, found another one.")
        ) from None
