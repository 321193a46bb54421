"""The pages of the review room. Each answers `GET`, and is for whoever may review what it shows."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse

from ...core.codec.blobs import MARK, whole
from ...core.errors import CodecError, MomentError, QueueRefused, UnreadableEvent
from ...core.masking.documents import masked
from ...core.masking.masker import Masker
from ...core.readable import LARGE
from ...events.log import read
from ...events.models import Event
from ...events.tables.database import log_database
from ...projections.engine.storable import storable
from ...projections.overview.finding import Page
from ...projections.overview.query import MAX_QUERY, QueryError
from ...projections.trail import read_trail
from ...projections.travel.prompts import PromptLost, prompt_of
from ...projections.travel.speakers import Speakers
from ...projections.views.projection import saved_views
from ..attachments.recorded import file_in
from ..attachments.serving import served
from ..page.things import png_in
from ..stream.pages import conversation_stream, list_stream
from .access import (
    PERMISSION,
    Reviewed,
    is_reviewer,
    may_approve,
    may_review,
    reviewed_by,
    sees_everybody,
    title_in_list,
)
from .addresses import LARGEST, BadNumber, number_in, version_of
from .answers import page, problem, rendered
from .charts import lately
from .comparing import compared
from .exporting import may_export
from .health import health_of
from .listing import found_for
from .queueing import bar_of
from .recording import record_look
from .remarks import choices, remarks_on
from .revealing import may_reveal, revealed_until
from .saving import Asked, asked, chosen_by
from .sealing import BadSeal, unsealed
from .shown import Hit, hits_of, items_of, message_of, metadata_of, payload_of, proof_of

_MESSAGES = 200
"""The most messages of a prompt that a page shows: the last ones."""

_INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
"""For what somebody else has made: a browser must take it for nothing but what it is."""


@page
def conversations(request: HttpRequest) -> HttpResponse:
    """The list, and its query."""
    wrong, after, reviewer = "", request.GET.get("after", ""), is_reviewer(request.user)
    saved = saved_views() if reviewer else []
    live = "" if after else list_stream(request)  # Before the list is read.
    wanted = Asked("", "")
    try:
        wanted = asked(request.GET, request.user, saved)
        found = found_for(request.user, wanted.query, after=after)
    except (BadSeal, QueryError) as error:
        found, wrong = Page([]), str(error)
    rows = [row for row in found.rows if may_review(request.user, row.conversation)]
    if sees_everybody(request.user) and not wrong and (rows or reviewer):
        shown = [row.conversation for row in rows]
        record_look(request, "listed", "conversations", shown, query=wanted.query)
    titled = [(row, title_in_list(request.user, row.conversation)) for row in rows]
    context = {
        "rows": titled,
        "page": found,
        "q": wanted.query,
        "problem": wrong,
        "reviewer": reviewer,
        "saved": saved,
        "view": wanted.view,
        "here": wanted.address,
        "live": live,
    }
    if reviewer:
        context["chosen"] = chosen_by(request.user)
    if sees_everybody(request.user):
        context |= {
            "may_export": may_export(request.user),
            "may_reveal": may_reveal(request.user),
        }
    return rendered(request, "conversations", context, status=400 if wrong else 200)


@page
def conversation(request: HttpRequest, pk: int) -> HttpResponse:
    """The trail of a conversation, now or at a version."""
    what = _reviewed(request, pk)
    room = what.conversation
    words, wrong = request.GET.get("find", ""), None
    try:
        words = unsealed(request.GET["s"], request.user) if "s" in request.GET else words
    except BadSeal as error:
        wrong = error
    words = words[:MAX_QUERY]
    record_look(request, "read", "conversation", [room], query=words)
    if wrong is not None:
        return problem(request, wrong, what)
    try:
        version, before = number_in(request.GET, "at"), number_in(request.GET, "before")
        bar = bar_of(request, what)
        trail = read_trail(pk, version=version, before=before, only=what.only)
    except (BadNumber, MomentError, QueueRefused) as error:
        # A conversation without events has no moments; one with events has others.
        return problem(request, error, what)
    everybody, reviewer = sees_everybody(request.user), is_reviewer(request.user)
    context = {
        "reviewer": reviewer,
        "everybody": everybody,
        "bar": bar,
        "remarks": remarks_on(what, request.user) if reviewer else None,
        "scores": choices() if reviewer else [],
        "may_reveal": everybody and may_reveal(request.user),
        "revealed_until": revealed_until(request, pk),
        "may_export": may_export(request.user),
        "may_approve": everybody and version is None and may_approve(request.user),
        "may_continue": room.is_open_to(request.user),
        "conversation": room,
        "title": what.title,
        "find": words,
        "hits": _hits(request, what, words, trail.moment.version) if words.strip() else None,
        "trail": trail,
        "items": items_of(what, trail),
        "at": version,
        "before": before,
        "first": trail.items[0].version if trail.items else 1,
        "wait": _milliseconds(trail),
    }
    if version is None and before is None:
        context["live"] = conversation_stream(request, trail.moment, what.only)
    return rendered(request, "conversation", context)


@page
def event(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """One event: its whole envelope."""
    what = _reviewed(request, pk)
    found = _event(what, version)
    mask = what.mask_for(found.actor_id)
    record_look(request, "read", f"event {version}", [what.conversation])
    if "whole" in request.GET and mask is None and _is_download(found):
        name = f"{pk}-{version}.json"
        headers = {**_INERT, "Content-Disposition": f'attachment; filename="{name}"'}
        words = whole(found.payload or "")
        return HttpResponse(words, content_type="application/json", headers=headers)
    context = {
        "conversation": what.conversation,
        "title": what.title,
        "event": found,
        "metadata": metadata_of(found, mask),
        "speaker": Speakers().name(found.actor_id),
        "payload": payload_of(found, whole="whole" in request.GET, mask=mask),
        "digest": bytes(found.digest).hex(),
        "hash": bytes(found.hash).hex(),
        "proof": proof_of(found),
        "neighbours": _neighbours(what, version),
    }
    return rendered(request, "event", context)


@page
def picture(request: HttpRequest, pk: int, version: int, number: int) -> HttpResponse:
    """A picture that a tool gave, as a PNG file."""
    what = _reviewed(request, pk)
    found = _event(what, version)
    # Nobody can say what is to be seen in a picture.
    shown = found.type == "ToolOutputRecorded" and what.mask_for(found.actor_id) is None
    png = png_in(found.payload, number) if shown else None
    if png is None:
        raise Http404
    # Part of the page that shows it.
    record_look(request, "read", "conversation", [what.conversation])
    return HttpResponse(png, content_type="image/png", headers=_INERT)


@page
def file(request: HttpRequest, pk: int, version: int, number: int) -> HttpResponse:
    """A picture or a file that somebody sent."""
    what = _reviewed(request, pk)
    found = _event(what, version)
    # Nobody can say what is to be seen in a picture, or to be read in a file.
    sent = file_in(found, number) if what.mask_for(found.actor_id) is None else None
    if sent is None:
        raise Http404
    # Part of the page that shows it.
    record_look(request, "read", "conversation", [what.conversation])
    return served(request, sent)


@page
def given(request: HttpRequest, pk: int, version: int) -> HttpResponse:
    """What the model was given in the turn that had begun at a version."""
    what = _reviewed(request, pk)
    record_look(request, "read", f"given {version}", [what.conversation])
    try:
        prompt = prompt_of(pk, version_of(str(version)), number_in(request.GET, "call"))
        mask = what.mask_for(_event(what, prompt.version).actor_id)
    except (BadNumber, CodecError, MomentError, PromptLost, UnreadableEvent) as error:
        return problem(request, error, what)
    context = {
        "conversation": what.conversation,
        "title": what.title,
        "prompt": prompt,
        "parameters": _masked(dict(prompt.parameters), mask),
        "tools": _masked(list(prompt.tools), mask),
        "version": version,
        "messages": [message_of(each, mask) for each in prompt.messages[-_MESSAGES:]],
        "earlier": max(len(prompt.messages) - _MESSAGES, 0),
    }
    return rendered(request, "given", context)


@page
def compare(request: HttpRequest, pk: int) -> HttpResponse:
    """Two moments side by side."""
    what = _reviewed(request, pk)
    record_look(request, "read", "compare", [what.conversation])
    try:
        comparison = compared(what, number_in(request.GET, "a"), number_in(request.GET, "b"))
    except (BadNumber, MomentError) as error:
        return problem(request, error, what)
    context = {
        "conversation": what.conversation,
        "title": what.title,
        "comparison": comparison,
    }
    return rendered(request, "compare", context)


@page
def health(request: HttpRequest) -> HttpResponse:
    """Whether the log and what is made of it are well."""
    if not request.user.has_perm(PERMISSION):
        raise Http404
    model = None if "model" not in request.GET else storable(request.GET["model"])
    context = {"health": health_of(), "lately": lately(model), "model": model}
    return rendered(request, "health", context)


def _reviewed(request: HttpRequest, pk: int) -> Reviewed:
    return reviewed_by(request.user, pk, revealed=revealed_until(request, pk) is not None)


def _hits(request: HttpRequest, what: Reviewed, words: str, until: int) -> list[Hit]:
    return hits_of(what, words, until, finds_masked=may_reveal(request.user))


def _masked(document: Any, mask: Masker | None) -> Any:
    return document if mask is None else masked(document, mask)


def _event(what: Reviewed, version: int) -> Event:
    """One event of what somebody may review. Raises Http404."""
    if version <= LARGEST:
        for found in read(what.conversation.pk, after=version - 1, until=version):
            if what.only in (None, found.actor_id):
                return found
    raise Http404


def _is_download(event: Event) -> bool:
    """Whether all of an event's words are too much for a page, or not all of them are in it."""
    stored = event.payload or ""
    return len(stored) > LARGE or MARK in stored


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
