"""The log of accesses, for whoever inspects it."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Max, Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from ...core.errors import TurnlogError
from ...core.users import users_named
from ...core.wellformed import wellformed
from ...events.accesses import ACTIONS, this_month
from ...events.beside import accesses_of
from ...events.beside import found as stream_of
from ...events.models import Actor
from ...events.tables.database import log_database
from ...projections.engine.storable import storable
from ...projections.models import Access
from ...projections.travel.speakers import Speakers
from .addresses import BadNumber, number_in
from .answers import page, problem, rendered

PERMISSION = "turnlog_events.inspect_accesses"

_SIZE = 100
_NAMED = 5
"""Conversations, and owners, of one access that the page names."""


class BadMonth(TurnlogError, ValueError):
    """Something that is no month."""


def may_inspect(user: Any) -> bool:
    """Return whether a user may see who has reviewed what."""
    return bool(user.is_active and user.has_perm(PERMISSION))


def month_in(given: Mapping[str, str]) -> str:
    """Return the month that an address or a form names; this one if it names none. Raises
    BadMonth."""
    text = given.get("month", "") or this_month()
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or text.startswith("0000"):
        found = wellformed(text[:40])
        raise BadMonth(_("Expected a month, such as 2026-11, found %(text)s.") % {"text": found})
    return text


@dataclass(frozen=True, slots=True)
class Row:
    """An access, who it was, and whose data it was."""

    access: Access
    who: str
    whose: Sequence[str]
    conversations: Sequence[int]
    more: bool


@dataclass(slots=True)
class Month:
    """A part of a month's accesses, the latest first; `before` finds the next part, if any."""

    rows: list[Row] = field(default_factory=list)
    inspections: list[Row] = field(default_factory=list)
    last: int = 0
    before: int | None = None


@page
def accesses(request: HttpRequest) -> HttpResponse:
    """Who has seen whose conversations, in a month or of one conversation."""
    if not may_inspect(request.user):
        raise PermissionDenied
    try:
        month = month_in(request.GET)
        of, before = number_in(request.GET, "conversation"), number_in(request.GET, "before")
    except (BadMonth, BadNumber) as error:
        return problem(request, error)
    fields = {name: request.GET.get(name, "") for name in ("who", "whose", "action")}
    asked = {name: storable(text).strip()[:150] for name, text in fields.items()}
    shown = _shown(month, of, before, asked)
    year, number = map(int, month.split("-"))
    context = {
        "month": month,
        "first": dt.date(year, number, 1),
        "of": of,
        **asked,
        "actions": ACTIONS,
        "shown": shown,
    }
    return rendered(request, "accesses", context)


def _shown(month: str, of: int | None, before: int | None, asked: Mapping[str, str]) -> Month:
    stream = stream_of(accesses_of(month))
    if stream is None:
        return Month()
    in_month = Access.objects.using(log_database()).filter(stream_id=stream)
    matched = _matching(asked)
    if of is not None:
        matched &= Q(conversation_id=of) | Q(conversations__contains=f"\n{of}\n")
    if before is not None:
        matched &= Q(version__lt=before)
    looks = in_month.exclude(action="inspected").filter(matched).order_by("-version")
    some = list(looks[: _SIZE + 1])
    inspections = list(in_month.filter(action="inspected").order_by("version")[:_SIZE])
    speakers = Speakers(access.actor_id for access in [*some, *inspections])
    speakers.look_up(
        uuid.UUID(owner) for access in some for owner in access.owners.split()[:_NAMED]
    )
    last = in_month.aggregate(last=Max("version"))["last"] or 0
    return Month(
        [_row(access, speakers) for access in some[:_SIZE]],
        [_row(access, speakers) for access in inspections],
        last,
        some[_SIZE - 1].version if len(some) > _SIZE else None,
    )


def _matching(asked: Mapping[str, str]) -> Q:
    matched = Q()
    if who := asked["who"]:
        matched &= Q(actor_id__in=_pseudonyms(who))
    if whose := asked["whose"]:
        theirs = Q(pk__in=())
        for actor_id in _pseudonyms(whose):
            theirs |= Q(owners__contains=f"\n{actor_id}\n")
        matched &= theirs
    if action := asked["action"]:
        matched &= Q(action=action[:16])
    return matched


def _pseudonyms(name: str) -> list[uuid.UUID]:
    """The pseudonyms that a user name, or a pseudonym itself, stands for."""
    try:
        return [uuid.UUID(name)]
    except ValueError:
        actors = Actor.objects.using(log_database())
        keys = [user.pk for user in users_named(name)]
        return list(actors.filter(user__in=keys).values_list("pk", flat=True))


def _row(access: Access, speakers: Speakers) -> Row:
    owners, conversations = access.owners.split(), access.conversations.split()
    return Row(
        access,
        speakers.name(access.actor_id),
        [speakers.name(uuid.UUID(owner)) for owner in owners[:_NAMED]],
        [int(number) for number in conversations[:_NAMED]],
        len(conversations) > _NAMED,
    )
