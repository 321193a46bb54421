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
from .access import conversation_for, listed_for, may_review
from .comparing import compared
from .health import health_of
from .shown import hits_of, items_of, payload_of, proof_of
from .things import png_of

View = Callable[..., HttpResponse]

_LARGEST = 2**31 - 1


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
        found = page_of(query, of=listed_for(request.user), after=after)
    except QueryError as error:
        found, problem = Page([]), str(error)
    rows = [row for row in found.rows if may_review(request.user, row.conversation)]
    context = {"rows": rows, "page": found, "q": query, "problem": problem}
    return _rendered(request, "conversations", context, status=400 if problem else 200)


@page
def conversation(request: HttpRequest, pk: int) -> HttpResponse:
    """The trail of a conversation, now or at a version."""
    room = conversation_for(request.user, pk)
    try:
        version, before = _number(request, "at"), _number(request, "before")
        trail = read_trail(pk, version=version, before=before)
    except (BadNumber, MomentError) as error:
        # A conversation without events has no moments; one with events has others.
        return _problem(request, room, error)
    words = request.GET.get("find", "")[:MAX_QUERY]
    context = {
        "conversation": room,
        "find": words,
        "hits": hits_of(pk, words, trail.moment.version) if words.strip() else None,
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
    room = conversation_for(request.user, pk)
    found = _event(pk, version)
    if found is None:
        raise Http404
    context = {
        "conversation": room,
        "event": found,
        "speaker": Speakers().name(found.actor_id),
        "payload": payload_of(found, whole="whole" in request.GET),
        "digest": bytes(found.digest).hex(),
        "hash": bytes(found.hash).hex(),
        "proof": proof_of(found),
        "neighbours": _neighbours(pk, version),
    }
    return _rendered(request, "event", context)


@page
def picture(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """The picture that a tool gave, as a PNG file."""
    conversation_for(request.user, pk)
    found = _event(pk, version)
    png = None if found is None else png_of(found)
    if png is None:
        raise Http404
    # It was made by a tool: a browser must take it for nothing but a picture.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    return HttpResponse(png, content_type="image/png", headers=headers)


@page
def given(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """What the model was given in the turn that had begun at a version."""
    room = conversation_for(request.user, pk)
    try:
        prompt = prompt_of(pk, _version(str(version)), _number(request, "call"))
    except (BadNumber, MomentError, PromptLost) as error:
        return _problem(request, room, error)
    context = {"conversation": room, "prompt": prompt, "version": version}
    return _rendered(request, "given", context)


@page
def compare(request: HttpRequest, pk: int) -> HttpResponse:
    """Two moments side by side."""
    room = conversation_for(request.user, pk)
    try:
        a, b = _number(request, "a"), _number(request, "b")
        comparison = compared(pk, a, b)
    except (BadNumber, MomentError) as error:
        return _problem(request, room, error)
    return _rendered(request, "compare", {"conversation": room, "comparison": comparison})


@page
def health(request: HttpRequest) -> HttpResponse:
    """Whether the log and what is made of it are well."""
    if not request.user.has_perm("turnlog_events.review_conversation"):
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


def _event(pk: int, version: int) -> Event | None:
    if version > _LARGEST:
        return None
    return next(iter(read(pk, after=version - 1, until=version)), None)


def _neighbours(pk: int, version: int) -> tuple[int | None, int | None]:
    """The versions before and after, if there are such events."""
    there = Event.objects.using(log_database()).filter(stream_id=pk)
    after = there.filter(version=version + 1).exists()
    return version - 1 or None, version + 1 if after else None


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
