"""The pages of the review room. Each answers `GET`, and is for whoever may review what it shows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.http import require_safe

from ...core.errors import MomentError, TurnlogError
from ...core.wellformed import wellformed
from ...events.log import read
from ...events.models import Event
from ...events.tables.database import log_database
from ...projections.overview.finding import Page, page_of
from ...projections.overview.query import MAX_QUERY, QueryError
from ...projections.trail import read_trail
from ...projections.travel.prompts import PromptLost, prompt_of
from ...projections.travel.speakers import Speakers
from .access import PERMISSION, Reviewed, listed_for, may_review, reviewed_by, sees_everybody
from .comparing import compared
from .health import health_of
from .shown import LARGE, hits_of, items_of, payload_of, proof_of
from .things import png_of

View = Callable[..., HttpResponse]

_LARGEST = 2**31 - 1

_MESSAGES = 200
"""The most messages of a prompt that a page shows: the last ones."""

_INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
"""For what somebody else has made: a browser must take it for nothing but what it is."""


class BadNumber(TurnlogError, ValueError):
    """Something in the address that is no version."""


def page(view: View) -> View:
    """A page of the review room: for people who are logged in, kept by no cache, in no frame."""

    @require_safe
    @login_required
    @xframe_options_deny
    @functools.wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        # It holds what people said: not for a proxy, and not for who uses this browser next.
        patch_cache_control(response, private=True, no_store=True)
        response.setdefault("Referrer-Policy", "same-origin")
        return response

    return shown


@page
def conversations(request: HttpRequest) -> HttpResponse:
    """The list, and its query."""
    query, after = request.GET.get("q", ""), request.GET.get("after", "")
    problem = ""
    try:
        said_by = None if sees_everybody(request.user) else request.user
        found = page_of(query, of=listed_for(request.user), said_by=said_by, after=after)
    except QueryError as error:
        found, problem = Page([]), str(error)
    rows = [row for row in found.rows if may_review(request.user, row.conversation)]
    context = {"rows": rows, "page": found, "q": query, "problem": problem}
    return _rendered(request, "conversations", context, status=400 if problem else 200)


@page
def conversation(request: HttpRequest, pk: int) -> HttpResponse:
    """The trail of a conversation, now or at a version."""
    what = reviewed_by(request.user, pk)
    room = what.conversation
    try:
        version, before = _number(request, "at"), _number(request, "before")
        trail = read_trail(pk, version=version, before=before, only=what.only)
    except (BadNumber, MomentError) as error:
        # A conversation without events has no moments; one with events has others.
        return _problem(request, room, error)
    words = request.GET.get("find", "")[:MAX_QUERY]
    context = {
        "conversation": room,
        "find": words,
        "hits": hits_of(what, words, trail.moment.version) if words.strip() else None,
        "trail": trail,
        "items": items_of(trail),
        "at": version,
        "before": before,
        "first": trail.items[0].version if trail.items else 1,
        "wait": _milliseconds(trail),
    }
    return _rendered(request, "conversation", context)


@page
def event(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """One event: its whole envelope."""
    what = reviewed_by(request.user, pk)
    found = _event(what, version)
    if "whole" in request.GET and len(found.payload or "") > LARGE:
        name = f"{pk}-{version}.json"
        headers = {**_INERT, "Content-Disposition": f'attachment; filename="{name}"'}
        return HttpResponse(found.payload, content_type="application/json", headers=headers)
    context = {
        "conversation": what.conversation,
        "event": found,
        "speaker": Speakers().name(found.actor_id),
        "payload": payload_of(found, whole="whole" in request.GET),
        "digest": bytes(found.digest).hex(),
        "hash": bytes(found.hash).hex(),
        "proof": proof_of(found),
        "neighbours": _neighbours(what, version),
    }
    return _rendered(request, "event", context)


@page
def picture(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """The picture that a tool gave, as a PNG file."""
    png = png_of(_event(reviewed_by(request.user, pk), version))
    if png is None:
        raise Http404
    return HttpResponse(png, content_type="image/png", headers=_INERT)


@page
def given(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """What the model was given in the turn that had begun at a version."""
    what = reviewed_by(request.user, pk)
    room = what.conversation
    try:
        prompt = prompt_of(pk, _version(str(version)), _number(request, "call"))
        _event(what, prompt.version)
    except (BadNumber, MomentError, PromptLost) as error:
        return _problem(request, room, error)
    context = {
        "conversation": room,
        "prompt": prompt,
        "version": version,
        "messages": prompt.messages[-_MESSAGES:],
        "earlier": max(len(prompt.messages) - _MESSAGES, 0),
    }
    return _rendered(request, "given", context)


@page
def compare(request: HttpRequest, pk: int) -> HttpResponse:
    """Two moments side by side."""
    what = reviewed_by(request.user, pk)
    try:
        comparison = compared(what, _number(request, "a"), _number(request, "b"))
    except (BadNumber, MomentError) as error:
        return _problem(request, what.conversation, error)
    context = {"conversation": what.conversation, "comparison": comparison}
    return _rendered(request, "compare", context)


@page
def health(request: HttpRequest) -> HttpResponse:
    """Whether the log and what is made of it are well."""
    if not request.user.has_perm(PERMISSION):
        raise Http404
    return _rendered(request, "health", {"health": health_of()})


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return _version(text) if text else None


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= _LARGEST):
        found = wellformed(text[:40])
        raise BadNumber(_("Expected a version, such as 12, found %(text)s.") % {"text": found})
    return int(text)


def _event(what: Reviewed, version: int) -> Event:
    """One event of what somebody may review. Raises Http404."""
    if version <= _LARGEST:
        for found in read(what.conversation.pk, after=version - 1, until=version):
            if what.only in (None, found.actor_id):
                return found
    raise Http404


def _neighbours(what: Reviewed, version: int) -> tuple[int | None, int | None]:
    """The versions of the events before and after that somebody may see."""
    seen = Event.objects.using(log_database()).filter(stream_id=what.conversation.pk)
    if what.only is not None:
        seen = seen.filter(actor_id=what.only)
    versions = seen.values_list("version", flat=True)
    before = versions.filter(version__lt=version).order_by("-version").first()
    return before, versions.filter(version__gt=version).order_by("version").first()


def _milliseconds(trail: Any) -> int:
    if trail.following is None:
        return 0
    return int((trail.following.recorded_at - trail.moment.recorded_at).total_seconds() * 1000)


def _problem(request: HttpRequest, room: Any, error: Exception) -> HttpResponse:
    context = {"conversation": room, "problem": str(error)}
    return _rendered(request, "problem", context, status=400)


def _rendered(
    request: HttpRequest, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    return render(request, f"turnlog/review/{name}.html", context, status=status)
