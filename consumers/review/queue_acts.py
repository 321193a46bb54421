"""What people do with queues. Each answers `POST`, and leads on to the next item, or back."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from ...core.errors import QueueRefused
from ...core.wellformed import wellformed
from ...projections.overview.query import parse
from ...projections.queues import acts
from ...projections.queues.taking import Taken, take_next
from .access import (
    listed_for,
    may_manage_queues,
    may_resolve,
    may_review,
    reviewed_by,
)
from .acting import action
from .addresses import number_in
from .queueing import queue_or_404, require_reviewer
from .recording import record_look
from .remarks import values_in
from .revealing import may_reveal


@action
def open_queue(request: HttpRequest) -> str:
    """Open a queue."""
    _require_manager(request)
    number = acts.open_queue(
        request.POST.get("name", ""),
        by=request.user,
        instructions=request.POST.get("instructions", ""),
        scores=request.POST.getlist("score"),
        reviewers=number_in(request.POST, "reviewers") or 1,
    )
    return _queue(number)


@action
def describe(request: HttpRequest, number: int) -> str:
    """Give a queue another name and other instructions."""
    _require_manager(request)
    queue_or_404(number)
    name, text = request.POST.get("name", ""), request.POST.get("instructions", "")
    acts.describe(number, name, text, by=request.user)
    return _queue(number)


@action
def set_state(request: HttpRequest, number: int) -> str:
    """Make a queue active, paused or archived."""
    _require_manager(request)
    queue_or_404(number)
    acts.set_state(number, request.POST.get("state", ""), by=request.user)
    return _queue(number)


@action
def fill(request: HttpRequest, number: int) -> str:
    """Put what a query of the list means into a queue, or a sample of it."""
    _require_manager(request)
    queue_or_404(number)
    query = request.POST.get("q", "")
    said = any(condition.key == "text" for condition in parse(query))
    if said and not may_reveal(request.user):
        # How many are found would tell whether somebody said a telephone number.
        raise QueueRefused(
            _("Only those who may reveal personal data can fill a queue by words that were said.")
        )
    percent, seed = _percent(request), request.POST.get("seed", "")
    record_look(request, "listed", f"queue {number}", [], query=query)
    acts.fill(
        number,
        query,
        by=request.user,
        percent=percent,
        seed=seed,
        of=listed_for(request.user),
        reviewer=request.user,
    )
    return _queue(number)


@action
def take_one(request: HttpRequest, number: int) -> str:
    """Take the next item; behind the place `after`, if the form says one."""
    require_reviewer(request)
    queue_or_404(number)
    return _onward(number, _next(request, number, number_in(request.POST, "after")))


@action
def take(request: HttpRequest, number: int, pk: int) -> str:
    """Take this item."""
    _require_item(request, number, pk)
    acts.take(number, pk, by=request.user)
    return _item(number, pk)


@action
def complete(request: HttpRequest, number: int, pk: int) -> str:
    """Complete an item by scores, and take the next one."""
    _require_item(request, number, pk)
    comment = request.POST.get("comment", "")
    acts.complete(number, pk, values_in(request.POST), by=request.user, comment=comment)
    return _after(request, number)


@action
def flag(request: HttpRequest, number: int, pk: int) -> str:
    """Say why an item cannot be reviewed as it is, and take the next one."""
    _require_item(request, number, pk)
    acts.flag(number, pk, request.POST.get("reason", ""), by=request.user)
    return _after(request, number)


@action
def leave(request: HttpRequest, number: int, pk: int) -> str:
    """Stop working on an item."""
    _require_item(request, number, pk)
    acts.leave(number, pk, by=request.user)
    return _queue(number)


@action
def resolve(request: HttpRequest, number: int, pk: int) -> str:
    """Settle what reviewers disagree about, by scores of one's own."""
    _require_item(request, number, pk)
    _require_resolver(request)
    comment = request.POST.get("comment", "")
    acts.resolve(number, pk, values_in(request.POST), by=request.user, comment=comment)
    return _item(number, pk)


@action
def put_back(request: HttpRequest, number: int, pk: int) -> str:
    """Let a flagged item be reviewed all the same."""
    _require_item(request, number, pk)
    _require_resolver(request)
    acts.put_back(number, pk, by=request.user)
    return _item(number, pk)


def _require_item(request: HttpRequest, number: int, pk: int) -> None:
    """Raise Http404 unless somebody reviews, may review this conversation, and there is the
    queue."""
    require_reviewer(request)
    reviewed_by(request.user, pk)
    queue_or_404(number)


def _require_manager(request: HttpRequest) -> None:
    require_reviewer(request)
    if not may_manage_queues(request.user):
        raise PermissionDenied


def _require_resolver(request: HttpRequest) -> None:
    if not may_resolve(request.user):
        raise PermissionDenied


def _next(request: HttpRequest, number: int, after: int | None) -> Taken:
    user: Any = request.user
    return take_next(number, by=user, may_see=lambda room: may_review(user, room), after=after)


def _after(request: HttpRequest, number: int) -> str:
    """The next item after the one that is done, which stays done whatever comes."""
    try:
        return _onward(number, _next(request, number, number_in(request.POST, "place")))
    except QueueRefused:  # The queue was paused meanwhile: its page says so.
        return _queue(number)


def _onward(number: int, taken: Taken) -> str:
    if taken.conversation is not None:
        return _item(number, taken.conversation, taken.skipped)
    told = {"nothing": 1, "skipped": taken.skipped, "further": taken.further}
    return f"{_queue(number)}?{urlencode({name: n for name, n in told.items() if n})}"


def _queue(number: int) -> str:
    return reverse("turnlog_review:queue", args=[number])


def _item(number: int, pk: int, skipped: int = 0) -> str:
    asked = {"queue": number, **({"skipped": skipped} if skipped else {})}
    return f"{reverse('turnlog_review:conversation', args=[pk])}?{urlencode(asked)}"


def _percent(request: HttpRequest) -> float:
    text = request.POST.get("percent", "").strip() or "100"
    try:
        return float(text[:40])
    except ValueError:
        raise QueueRefused(
            _("Expected a percentage above 0 and up to 100, found %(found)s: nothing was done.")
            % {"found": wellformed(text)[:40]}
        ) from None
