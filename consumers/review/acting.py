"""What people do in the review room. Each answers `POST`, and leads back to where it was done."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from ...core.errors import NotWaiting, RemarkRefused
from ...core.wellformed import wellformed
from ...events import accesses, reviews
from ...events.models import Conversation
from ...events.tables.database import log_database
from ..page.asked import shown_and_missing, why_not_approved
from ..socket.deciding import sentence
from . import revealing
from .access import is_reviewer, may_approve, reviewed_by, sees_everybody
from .addresses import number_in
from .answers import View, acting
from .health import verify_lately
from .inspecting import may_inspect, month_in
from .queueing import working
from .remarks import values_in
from .sealing import sealed

ERASE, VERIFY = "turnlog_events.erase_payload", "turnlog_events.verify_log"

Action = Callable[..., str]


def action(act: Action) -> View:
    """Something that is done and leads to another page: `act` returns its address."""

    @acting
    @functools.wraps(act)
    def done(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseRedirect:
        response = HttpResponseRedirect(act(request, *args, **kwargs))
        response.status_code = 303
        return response

    return done


def _reviewable(request: HttpRequest, pk: int) -> Conversation:
    """Return a conversation that somebody may write about: reviewers may, owners may not."""
    room = reviewed_by(request.user, pk).conversation
    if not is_reviewer(request.user):
        raise Http404
    return room


def _of_others(request: HttpRequest, pk: int) -> Conversation:
    """Return a conversation of which somebody sees everybody's turns."""
    room = reviewed_by(request.user, pk).conversation
    if not sees_everybody(request.user):
        raise Http404
    return room


@action
def note(request: HttpRequest, pk: int) -> str:
    """Add a note."""
    room = _reviewable(request, pk)
    turn = _turn(request)
    working(request, room.pk)
    quote = request.POST.get("quote", "")
    reviews.add_note(room.pk, request.POST.get("text", ""), by=request.user, turn_id=turn,
                     quote=quote)  # fmt: skip
    return _back(request, room.pk)


@action
def withdraw(request: HttpRequest, pk: int, version: int) -> str:
    """Withdraw a note of one's own."""
    room = _reviewable(request, pk)
    working(request, room.pk)
    reviews.withdraw_note(room.pk, version, by=request.user)
    return _back(request, room.pk)


@action
def score(request: HttpRequest, pk: int) -> str:
    """Give the scores of a form: each field that has a value."""
    room = _reviewable(request, pk)
    turn = _turn(request)
    if not (values := values_in(request.POST)):
        raise RemarkRefused(_("Expected a score, found none."))
    working(request, room.pk)
    comment = request.POST.get("comment", "")
    with transaction.atomic(using=log_database()):  # All of a form, or nothing.
        for name, value in values.items():
            reviews.give_score(room.pk, name, value, by=request.user, turn_id=turn, comment=comment)
    return _back(request, room.pk)


@action
def sign_off(request: HttpRequest, pk: int) -> str:
    """Sign a conversation off, up to the version that was shown."""
    room = _reviewable(request, pk)
    until = number_in(request.POST, "until") or 0
    working(request, room.pk)
    reviews.sign_off(room.pk, by=request.user, until=until, remark=request.POST.get("remark", ""))
    return _back(request, room.pk)


@action
def reveal(request: HttpRequest, pk: int) -> str:
    """Show the personal data of a conversation for a while."""
    room = _of_others(request, pk)
    revealing.reveal(request, room, request.POST.get("reason", ""))
    return _back(request, room.pk)


@action
def mask(request: HttpRequest, pk: int) -> str:
    """Mask the personal data of a conversation again."""
    room = _of_others(request, pk)
    revealing.mask_again(request, room)
    return _back(request, room.pk)


@action
def find(request: HttpRequest, pk: int) -> str:
    """Search a conversation; see `saving.search`."""
    room = reviewed_by(request.user, pk).conversation
    asked: dict[str, Any] = {name: number_in(request.POST, name) for name in ("queue", "at")}
    asked["s"] = sealed(request.POST.get("find", ""), request.user)
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{reverse('turnlog_review:conversation', args=[room.pk])}?{query}"


@action
def fork(request: HttpRequest, pk: int) -> str:
    """Continue a conversation from a moment, as one of one's own."""
    room = reviewed_by(request.user, pk).conversation
    forked = room.fork(version=number_in(request.POST, "at"), user=request.user)
    return reverse("turnlog_review:conversation", args=[forked.pk])


@action
def erase(request: HttpRequest, pk: int) -> str:
    """Erase a turn, with whatever was made of it."""
    room = _of_others(request, pk)
    if not request.user.has_perm(ERASE):
        raise PermissionDenied
    if (turn := _turn(request)) is None:
        raise RemarkRefused(_("Expected the id of a turn, found none."))
    room.erase([turn], by=request.user, reason=request.POST.get("reason", ""))
    return _back(request, room.pk)


@action
def decide(request: HttpRequest, pk: int) -> str:
    """Approve or reject a tool's call that waits for a person."""
    room = _of_others(request, pk)
    if not may_approve(request.user):
        raise PermissionDenied
    turn, call = _turn(request), request.POST.get("call", "")
    approved = {"yes": True, "no": False}.get(request.POST.get("approved", ""))
    if turn is None or not (call.isascii() and call.isdecimal()) or approved is None:
        raise RemarkRefused(_("Expected a call, and whether to approve it, found neither."))
    if approved and (why := _not_shown(room, turn, int(call))):
        raise RemarkRefused(why)
    try:
        room.decide_call(
            turn, int(call), approved, by=request.user, reason=request.POST.get("reason", "")
        )
    except NotWaiting as error:
        raise RemarkRefused(sentence(error.why)) from None
    return _back(request, room.pk)


def _not_shown(room: Conversation, turn: uuid.UUID, number: int) -> str:
    """Return why a call is not approved, if its input is more than a page shows."""
    waiting = room.waiting()
    if waiting is None or waiting.started.turn_id != turn:
        return ""  # The log says why.
    for call in waiting.calls:
        if call.number == number:
            return why_not_approved(shown_and_missing(call.input)[1])
    return ""


@action
def verify(request: HttpRequest) -> str:
    """Verify what came after the last signed checkpoint, and record the result."""
    if not request.user.has_perm(VERIFY):
        raise PermissionDenied
    verify_lately()
    return reverse("turnlog_review:health")


@action
def inspect(request: HttpRequest) -> str:
    """Sign off a month's accesses, up to the version that was shown."""
    if not may_inspect(request.user):
        raise PermissionDenied
    month = month_in(request.POST)
    until = number_in(request.POST, "until") or 0
    accesses.inspect(month, by=request.user, until=until, remark=request.POST.get("remark", ""))
    return f"{reverse('turnlog_review:accesses')}?month={month}"


def _turn(request: HttpRequest) -> uuid.UUID | None:
    text = request.POST.get("turn", "")
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        found = wellformed(text[:40])
        raise RemarkRefused(
            _("Expected the id of a turn, found %(text)s.") % {"text": found}
        ) from None


def _back(request: HttpRequest, pk: int) -> str:
    """The place that a form was sent from: a moment, a part of the trail, a turn."""
    address = reverse("turnlog_review:conversation", args=[pk])
    kept = [(name, number_in(request.POST, name)) for name in ("at", "before", "queue")]
    query = "&".join(f"{name}={number}" for name, number in kept if number)
    shown = number_in(request.POST, "shown")
    return address + (f"?{query}" if query else "") + (f"#turn-{shown}" if shown else "")
