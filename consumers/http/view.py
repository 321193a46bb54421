"""The chat of one conversation at one URL: its page, its stream, and what is sent to it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseFailure
from django.db import connections, transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.generic import View

from ...core import conf
from ...core.asynchronous import in_database_thread
from ...core.errors import ConfigurationError
from ...core.wellformed import wellformed
from ...events import uploads
from ...projections.outline import began_at
from .. import failures
from ..answering.contained import contained
from ..answering.langchain import import_ahead
from ..attachments.refusals import Refused as FilesRefused
from ..mixins.agent import AgentMixin
from ..page.frames import Encoder, HtmlEncoder, JsonEncoder
from ..socket import access, limits
from ..socket.deciding import NotDecided
from ..socket.files import checked_upload, kept, no_room
from ..socket.follower import earlier_frames
from ..socket.opening import Opening, version_of
from ..socket.origin import refused_origin
from ..socket.requests import (
    BadRequest,
    Choose,
    Decide,
    Earlier,
    Ping,
    Request,
    Say,
    Source,
    Stop,
    request_of,
    too_many,
)
from ..socket.saying import Fate, database_away
from ..socket.session import Ended, why_not
from .asking import Answer, Refusal, TooLong, request_in
from .scope import scope_of
from .sse import unbuffered
from .stream import ChatStream, ended

logger = logging.getLogger("turnlog")

EVENT_STREAM = "text/event-stream"
_EVENT_STREAM_IN_UTF_8 = f"{EVENT_STREAM}; charset=utf-8"

_STATUS_OF_FATE = {
    Fate.BUSY: 409,
    Fate.CONFLICT: 409,
    Fate.REPLACED: 409,
    Fate.CLEARED: 410,
    Fate.FILES: 400,
    Fate.DATABASE: 503,
    Fate.FAILED: 500,
}


class Closed(NamedTuple):
    """Why whoever asks may not enter, the status that says so, and the reason for a developer."""

    why: Ended
    status: int
    detail: str


class HttpChat(AgentMixin, View):
    """A chat over HTTP. It needs an ASGI server.

    GET is the page; with `Accept: text/event-stream`, the stream of frames. POST says something,
    stops an answer, or asks for earlier turns.
    """

    http_method_names = ["get", "head", "post", "options"]
    template_name = "turnlog/chat_room_sse.html"
    """The page. Its context has `connect_url`, `title` and `conversation`."""
    user_text_field_name = "user_text"
    """A form's field for what the user says; in JSON it is always `user_text`."""
    user_images_field_name = "images"
    """A form's field for pictures and files; `files` is another one, also for names of uploads."""
    conversation_pk_url_kwarg = "conversation_pk"
    """The URL's argument that has the conversation; without it, see get_conversation_pk()."""

    request: Any

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)
        # With ATOMIC_REQUESTS, Django refuses an async view otherwise. What is said is committed at
        # once anyway.
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    async def dispatch(  # type: ignore[override]  # Django's own is async if the handlers are.
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        if not isinstance(request, ASGIRequest):
            logger.error("a chat over HTTP was asked for over WSGI: it needs an ASGI server")
            sentence = _("This chat needs an ASGI server, such as uvicorn or daphne.")
            return HttpResponse(sentence, status=501, content_type="text/plain; charset=utf-8")
        try:
            self.scope = await scope_of(request, args, kwargs)
            answering: Any = super().dispatch(request, *args, **kwargs)
            response: HttpResponseBase = await answering
        except ConfigurationError as error:
            logger.error("a chat could not be opened: %s", error)  # It names settings, no people.
            response = self._notice(failures.sentence({"kind": "configuration"}), 503)
        except DatabaseFailure as error:
            logger.error("a chat could not be opened: %s", failures.where(error))
            response = self._notice(database_away(), 503)
        # What is here is for one person at one moment; the same address has a page and a stream.
        response["Cache-Control"] = "no-store"
        patch_vary_headers(response, ("Accept", "Cookie"))
        return response

    def get_conversation_pk(self) -> str | None:
        found = self.scope["url_route"]["kwargs"].get(self.conversation_pk_url_kwarg)
        return super().get_conversation_pk() if found is None else str(found)

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        """Return the page's context. It may query the database."""
        return context

    async def get(self, request: ASGIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        import_ahead()
        if "before" in request.GET:
            before = version_of(request.GET["before"])
            return await self._requested({"type": "earlier", "before": before})
        if self._takes_stream():
            return await self._stream()
        return await self._page()

    async def post(self, request: ASGIRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return await self._requested()

    # The page

    async def _page(self) -> HttpResponseBase:
        if closed := await self._closed(self._opening()):
            if closed.why is Ended.SIGNED_OUT:
                return redirect_to_login(self.request.get_full_path())
            raise Http404
        conversation = await self.aget_conversation()
        if conversation is None:
            raise ConfigurationError(
                f"the page of {type(self).__name__} needs a conversation: expected one of"
                f" {self.conversation_pk_url_kwarg}, conversation_id, pk and id in its URL, found"
                f" {self.request.path}"
            )
        page = await in_database_thread(self._render)(
            connect_url=self.request.get_full_path(),
            conversation=conversation,
            title=conversation.title,
        )
        return HttpResponse(page)

    def _render(self, **context: Any) -> str:
        context = self.get_context_data(**context)
        return render_to_string(self.template_name, context, self.request)

    # The stream

    async def _stream(self) -> HttpResponseBase:
        opening = self._opening()
        if closed := await self._closed(opening):
            if opening.refuse == "event":
                # A script in a browser sees an event, and neither the status nor the body.
                end = ended(closed.why.value, closed.detail)
                return HttpResponse(end, content_type=_EVENT_STREAM_IN_UTF_8)
            return _refused(closed)
        if self.get_conversation_pk() is None:
            return self._notice(_no_conversation(), 400)
        last = version_of(self.request.headers.get("Last-Event-ID", ""))
        stream = ChatStream(self, opening)
        return _event_stream(stream.of_conversation(last or opening.after))

    # Requests

    async def _requested(self, fields: dict[str, Any] | None = None) -> HttpResponseBase:
        opening = self._opening()
        if closed := await self._closed(opening):
            return _refused(closed)
        refused = ""
        try:
            share = limits.enter(self.scope)
            try:
                await share.pace.wait()
                if fields is None:
                    keep = partial(self._keep, share)
                    request = await request_in(self.request, self.user_text_field_name, keep)
                else:
                    request = request_of(fields)
                refused = str(request.turn_id) if isinstance(request, Say) else ""
                return await contained(self._handle(request, share, opening))
            finally:
                share.leave()
        except TooLong as error:
            return self._notice(str(error), 413, error.turn_id)
        except BadRequest as error:
            return self._notice(str(error), 400, error.turn_id)
        except FilesRefused as error:
            return self._notice(str(error), 400)
        except uploads.NoRoom as error:
            return self._notice(no_room(error), 429)
        except limits.TooMany as error:
            return self._notice(str(error), 429, refused)
        except NotDecided as error:
            return self._notice(str(error), error.status)
        except DatabaseFailure as error:
            logger.error("a request could not be answered: %s", failures.where(error))
            return self._notice(database_away(), 503, refused)
        except Exception as error:  # noqa: BLE001
            logger.error("a request could not be answered: %s", failures.where(error))
            sentence = _("This could not be done. Try again in a moment.")
            return self._notice(sentence, 500, refused)

    async def _keep(self, share: limits.Share, files: Any) -> list[str]:
        """Keep a form's files; return the names that its message has for them."""
        fields = (self.user_images_field_name, "files")
        if others := sorted(files.keys() - set(fields)):
            raise BadRequest(
                _("The field {name} is unknown; files are sent as {fields}.").format(
                    name=json.dumps(others[0][:40]), fields=", ".join(fields)
                )
            )
        given = [file for field in dict.fromkeys(fields) for file in files.getlist(field)]
        if len(given) > (most := conf.get().max_files):
            raise BadRequest(too_many(len(given), most))
        names = []
        for file in given:
            name, _file = await kept(self, share, partial(checked_upload, file))
            names.append(str(name))
        return names

    async def _handle(
        self, request: Request, share: limits.Share, opening: Opening
    ) -> HttpResponseBase:
        stream = ChatStream(self, opening)
        session = stream.session
        session.share = share
        await session.find()
        match request:
            case Ping():
                return JsonResponse({"type": "pong"})
            case Say():
                return await self._say(request, stream)
            case Choose(turn_id):
                if refusal := await session.choose(turn_id):
                    return self._notice(refusal, 409)
                return JsonResponse({"turn_id": str(turn_id)}, status=202)
            case Stop(turn_id):
                await session.stop(turn_id)
                return JsonResponse({"turn_id": str(turn_id)}, status=202)
            case Decide(turn_id):
                await session.decide(request)
                return JsonResponse({"turn_id": str(turn_id)}, status=202)
            case Earlier(before):
                encoder = self._encoder()
                encoder.files_url = session.encoder.files_url
                frames = await earlier_frames(session.transcripts, encoder, before)
                return _frames(frames, encoder)
            case Source(turn_id):
                told = await session.source(turn_id)
                return HttpResponse(told, content_type="application/json")

    async def _say(self, say: Say, stream: ChatStream) -> HttpResponseBase:
        session, streamed = stream.session, self._takes_stream()
        if not streamed and not session.transcripts.recorded:
            return self._notice(_no_conversation(), 400, str(say.turn_id))
        answer = Answer()
        begun = await answer.of(await session.saying.say(say, answer))
        if isinstance(begun, Refusal):
            return self._notice(begun.text, _STATUS_OF_FATE[begun.fate], str(say.turn_id))
        known = {} if begun else {"type": "known"}
        version = begun.version if begun else await self._began_at(say)
        if streamed:
            return _event_stream(stream.of_turn(say.turn_id, version))
        told = {**known, "turn_id": str(say.turn_id), "version": version}
        return JsonResponse(told, status=202)

    async def _began_at(self, say: Say) -> int:
        conversation = await self.aget_conversation()
        if conversation is None:
            return 0
        return await in_database_thread(began_at)(conversation.pk, say.turn_id)

    # What both have

    def _opening(self) -> Opening:
        opening = Opening.of(dict(self.request.GET.lists()), translation.get_language() or "")
        translation.activate(opening.language)
        return opening

    async def _closed(self, opening: Opening) -> Closed | None:
        """Return why whoever asks may not enter, which the server's log says; None if they may."""
        level, why, status = logging.INFO, Ended.REFUSED, 404
        user = self.scope.get("user")
        if reason := refused_origin(self.scope):
            level, status = logging.WARNING, 403
        elif reason := await why_not(self):
            # Whoever may not see a conversation does not learn either whether there is one.
            level = logging.WARNING if user is None else level
            if user is None or not user.is_authenticated:
                why, status = Ended.SIGNED_OUT, 401
        elif not access.is_the_pages_person(self.scope, opening.person):
            reason, why, status = "its page is another person's", Ended.SIGNED_OUT, 401
        if not reason:
            return None
        logger.log(level, "refused a request for %s: %s", self.request.path, reason)
        return Closed(why, status, reason if settings.DEBUG else "")

    def _takes_stream(self) -> bool:
        taken = self.request.get_preferred_type(["text/html", "application/json", EVENT_STREAM])
        return bool(self.request.method != "HEAD" and taken == EVENT_STREAM)

    def _encoder(self) -> Encoder:
        """Return what writes the frames of an answer that is no stream."""
        asked = self.request.GET.get("format")
        if asked is None and "HX-Request" not in self.request.headers:
            taken = self.request.get_preferred_type(["application/json", "text/html"])
            asked = "html" if taken == "text/html" else "json"
        return JsonEncoder() if asked == "json" else HtmlEncoder()

    def _notice(self, text: str, status: int, turn_id: str = "") -> HttpResponse:
        encoder = self._encoder()
        frames = encoder.notice(text, level="error", refused_turn_id=turn_id)
        response = _frames(frames, encoder, status)
        if status in (429, 503):
            response["Retry-After"] = "5"
        return response


def _event_stream(pieces: AsyncGenerator[bytes]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(pieces, content_type=_EVENT_STREAM_IN_UTF_8)
    unbuffered(response)
    return response


def _frames(frames: list[str], encoder: Encoder, status: int = 200) -> HttpResponse:
    kind = "application/json" if isinstance(encoder, JsonEncoder) else "text/html"
    body = wellformed("\n".join(frames))
    # By this header the page knows a frame from what a proxy says in HTML.
    headers = {"X-Turnlog-Frames": str(len(frames))}
    return HttpResponse(body, status=status, content_type=f"{kind}; charset=utf-8", headers=headers)


def _refused(closed: Closed) -> JsonResponse:
    """Refuse a request, as a stream's end would."""
    sentence = {
        Ended.SIGNED_OUT: _("Your session has ended. Sign in again."),
        Ended.REFUSED: _("You do not have access to this conversation."),
    }[closed.why]
    told = {
        "type": "end",
        "reason": closed.why.value,
        "content": sentence,
        "detail": closed.detail,
    }
    return JsonResponse(told, status=closed.status)


def _no_conversation() -> str:
    return _("This chat has no conversation, and answers only a message, as text/event-stream.")
