"""Takes a picture or a file before its message is sent, and serves those that were sent."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseFailure
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from ...core import conf
from ...core.asynchronous import in_database_thread
from ...core.errors import ConfigurationError, NotStored
from ...events import uploads
from .. import failures
from ..http.asking import UNREADABLE
from ..http.scope import scope_of
from ..mixins.agent import AgentMixin
from ..socket import access, limits
from ..socket.addresses import chat_at
from ..socket.files import checked_upload, kept, no_room
from ..socket.origin import refused_origin
from ..socket.saying import database_away
from ..socket.session import why_not
from .checking import Checked, too_large
from .recorded import file_of
from .refusals import Refused
from .serving import served

logger = logging.getLogger("turnlog")

FIELD = "file"
"""The field of a form that has the file."""

_ROOM_FOR_THE_REST = 64 * 1024


class _No(Exception):
    """The request is refused, with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@require_http_methods(["POST"])
@transaction.non_atomic_requests
async def upload(request: HttpRequest, token: str) -> HttpResponse:
    """Keep a file until its message is sent, and return the name that the message uses for it."""
    return await _answered(_upload, request, token)


@require_http_methods(["DELETE"])
@transaction.non_atomic_requests
async def remove(request: HttpRequest, token: str, name: uuid.UUID) -> HttpResponse:
    """Drop a file that will not be sent."""
    return await _answered(_remove, request, token, name)


@require_safe
@transaction.non_atomic_requests
async def file(request: HttpRequest, token: str, version: int, number: int) -> HttpResponse:
    """Serve a file of a message in the log, to whoever sees that turn in the chat."""
    return await _answered(_file, request, token, version, number)


async def _answered(work: Any, request: HttpRequest, token: str, *args: Any) -> HttpResponse:
    try:
        if not isinstance(request, ASGIRequest):
            logger.error("a chat's files were asked for over WSGI: they need an ASGI server")
            raise _No(501, _("This chat needs an ASGI server, such as uvicorn or daphne."))
        chat = await _entered(request, token)
        response: HttpResponse = await work(request, chat, *args)
    except _No as no:
        response = _said(no.status, str(no))
    except Refused as refused:
        response = _said(400, str(refused))
    except limits.TooMany as error:
        response = _said(429, str(error))
    except uploads.NoRoom as error:
        response = _said(429, no_room(error))
    except (DatabaseFailure, NotStored) as error:
        logger.error("a file could not be kept or served: %s", failures.where(error))
        response = _said(503, database_away())
    except ConfigurationError as error:
        logger.error("a chat could not be opened: %s", error)  # It names settings, no people.
        response = _said(503, failures.sentence({"kind": "configuration"}))
    if not response.has_header("Cache-Control"):
        response["Cache-Control"] = "no-store"
    return response


async def _entered(request: ASGIRequest, token: str) -> AgentMixin:
    """Return the chat of an address, if this person may enter it. Raises _No."""
    scope = await scope_of(request, (), {})
    if reason := refused_origin(scope):
        logger.warning("refused a request for a chat's files: %s", reason)
        raise _No(403, _("Pages of another site may not send files here."))
    chat = await in_database_thread(chat_at)(token, scope, request)
    # As the chat itself: whoever may not see a conversation does not learn whether there is one.
    if chat is None or await why_not(chat) or await chat.aget_conversation() is None:
        user = scope.get("user")
        if user is None or not user.is_authenticated:
            raise _No(401, _("Your session has ended. Sign in again."))
        raise _No(404, _("You do not have access to this conversation."))
    return chat


async def _upload(request: ASGIRequest, chat: AgentMixin) -> HttpResponse:
    length, largest = request.META.get("CONTENT_LENGTH") or "", conf.get().max_file_size
    if not length.isdecimal():
        raise _No(411, _("A file must say how long it is: send Content-Length."))
    if int(length) > largest + _ROOM_FOR_THE_REST:
        raise _No(413, too_large(int(length)))
    share = limits.enter(chat.scope)
    try:
        await share.pace.wait()
        name, file = await kept(chat, share, lambda: _checked(request))
    finally:
        share.leave()
    about = {name: getattr(file, name) for name in ("kind", "name", "mime_type", "width", "height")}
    return JsonResponse({"id": str(name), "size": len(file.content), **about}, status=201)


def _checked(request: ASGIRequest) -> Checked:
    try:
        given = request.FILES.get(FIELD)
    except UNREADABLE:
        raise Refused(_("This could not be read: send a form with one file.")) from None
    if given is None:
        raise Refused(
            _("There is no file: send a form with one, in the field {name}.").format(name=FIELD)
        )
    return checked_upload(given)


async def _remove(request: ASGIRequest, chat: AgentMixin, name: uuid.UUID) -> HttpResponse:
    conversation: Any = await chat.aget_conversation()
    person = access.person_of(chat.get_user())
    await in_database_thread(uploads.drop)(conversation.pk, person, [name])
    return HttpResponse(status=204)


async def _file(request: ASGIRequest, chat: AgentMixin, version: int, number: int) -> HttpResponse:
    conversation: Any = await chat.aget_conversation()
    user = chat.get_user()

    def look() -> HttpResponse | None:
        found = file_of(conversation.pk, user, version, number)
        return None if found is None else served(request, found)

    share = limits.enter(chat.scope)
    try:
        await share.pace.wait()
        async with share.lane:
            response = await in_database_thread(look)()
    finally:
        share.leave()
    if response is None:
        raise _No(404, _("There is no such file."))
    return response


def _said(status: int, sentence: str) -> HttpResponse:
    response = JsonResponse(
        {"type": "notice", "level": "error", "content": sentence}, status=status
    )
    if status in (429, 503):
        response["Retry-After"] = "5"
    return response
