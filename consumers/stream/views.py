"""The stream's one view."""

from __future__ import annotations

from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseFailure
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from ...core.asynchronous import in_database_thread
from ..http.sse import unbuffered
from ..socket.origin import refused_origin
from .following import Following
from .opening import Refused, opening_of, require_room, scope_of

_AWAY = 503


@require_GET
@transaction.non_atomic_requests
async def events(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
    """Stream what happens in the channels that are asked for, as it is committed."""
    if not isinstance(request, ASGIRequest):
        return _answer(501, _("Expected an ASGI server, which can stream, found WSGI."))
    if refused_origin(request.scope):
        return _answer(403, _("Pages of another site may not follow conversations."))
    try:
        scope = await in_database_thread(scope_of)(request)
        require_room(scope)
        opening = await in_database_thread(opening_of)(request, kwargs, scope)
    except Refused as refusal:
        return _answer(refusal.status, str(refusal))
    except DatabaseFailure:
        return _answer(_AWAY, _("The log cannot be reached right now: try again soon."))
    following = Following(opening)
    response = _Stream(following)
    unbuffered(response)
    response["Cache-Control"] = "private, no-cache, no-store, no-transform"
    response["X-Content-Type-Options"] = "nosniff"
    response["Turnlog-Last-Event-ID"] = following.started
    return response


class _Stream(StreamingHttpResponse):
    def __init__(self, following: Following) -> None:
        super().__init__(following.messages(), content_type="text/event-stream")
        self._following = following

    def close(self) -> None:
        super().close()
        self._following.close()


def _answer(status: int, sentence: str) -> HttpResponse:
    response = HttpResponse(
        f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8"
    )
    # For GZipMiddleware: it would compress each message on its own, and browsers read the first.
    response["Content-Encoding"] = "identity"
    response["Cache-Control"] = "private, no-store"
    if status in (429, _AWAY):
        response["Retry-After"] = "30"
    return response
