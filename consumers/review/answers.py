"""What all pages of the review room have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST, require_safe

from ...core.errors import TurnlogError
from ...core.wellformed import wellformed
from .access import Reviewed

View = Callable[..., HttpResponseBase]


def page(view: View) -> View:
    """A page of the review room: for people who are logged in, kept by no cache, in no frame."""

    @require_safe
    @login_required
    @functools.wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return guarded(view(request, *args, **kwargs))

    return shown


def acting(view: View) -> View:
    """Something that is done in the room: with a CSRF token, by people who are logged in. What is
    refused is a page with one sentence."""

    @require_POST
    @login_required
    @csrf_protect
    @functools.wraps(view)
    def done(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return guarded(view(request, *args, **kwargs))
        except TurnlogError as error:
            return guarded(problem(request, error))

    return done


def guarded(response: HttpResponseBase) -> HttpResponseBase:
    """Return a response that holds what people said: not for a proxy, and not for who uses this
    browser next."""
    patch_cache_control(response, private=True, no_store=True)
    response.setdefault("Referrer-Policy", "same-origin")
    response.setdefault("X-Frame-Options", "DENY")
    return response


def rendered(
    request: HttpRequest, name: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Return a page made from one of the room's templates."""
    return render(request, f"turnlog/review/{name}.html", context, status=status)


def problem(request: HttpRequest, error: Exception, what: Reviewed | None = None) -> HttpResponse:
    """Return a page with one sentence: what was expected, and what was found."""
    context: dict[str, Any] = {"problem": wellformed(str(error))}
    if what is not None:
        context |= {"conversation": what.conversation, "title": what.title}
    return rendered(request, "problem", context, status=400)
