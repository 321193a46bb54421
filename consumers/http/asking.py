"""Reads a request from a body, as JSON or as a form; and waits for what becomes of a message."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from django.core.exceptions import BadRequest as DjangoBadRequest
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.asgi import ASGIRequest
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _

from ...core import conf
from ...core.asynchronous import in_thread
from ..answering.running_turn import RunningTurn
from ..socket.requests import BadRequest, Request, longest_request, parse_request, request_of
from ..socket.saying import Fate

_MULTIPART = "multipart/form-data"
_FORMS = ("application/x-www-form-urlencoded", _MULTIPART)

UNREADABLE = (
    MultiPartParserError,
    SuspiciousOperation,
    DjangoBadRequest,
    UnreadablePostError,
    LookupError,
    UnicodeError,
)
"""What a form raises that cannot be parsed: damaged, with too many fields, or in an encoding that
Django does not read. Python knows encodings of which text is not made, such as base64."""

KeepFiles = Callable[[Any], Awaitable[list[str]]]
"""Keeps a form's files, which it gets by their fields (a MultiValueDict); returns their names."""


class TooLong(BadRequest):
    """A body with more than any request has."""


async def request_in(request: ASGIRequest, text_field: str, keep: KeepFiles) -> Request:
    """Return what a body asks for. `text_field` is a form's name for `user_text`.

    `keep` keeps the files of a form. Raises BadRequest, and what it raises. A form is parsed only
    if it says how long it is.
    """
    length, longest = request.META.get("CONTENT_LENGTH") or "", longest_request()
    has_files = request.content_type == _MULTIPART
    if has_files:
        longest += conf.get().max_file_size
    if length.isdecimal() and int(length) > longest:
        raise TooLong(_("This is far too long for one message: send it in parts."))
    if request.content_type not in _FORMS:
        return _of_json(request.read(longest + 1))
    if not length.isdecimal():
        raise BadRequest(_("A form must say how long it is: send Content-Length, or JSON."))
    # Files take long to be parsed: not on the event loop.
    files = await in_thread(lambda: _files_of(request))
    names = await keep(files) if files else []
    return _of_form(request, text_field, names)


def _files_of(request: ASGIRequest) -> Any:
    """Parse a form of either kind, and return its files. Raises BadRequest."""
    try:
        return request.FILES
    except UNREADABLE:
        raise BadRequest(_("This could not be read: send a form or a JSON object.")) from None


def _of_json(body: bytes) -> Request:
    if len(body) > longest_request():
        raise TooLong(_("This is far too long for one message: send it in parts."))
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadRequest(_("This could not be read: send a JSON object.")) from None
    return parse_request(text, None)


def _of_form(request: ASGIRequest, text_field: str, files: list[str]) -> Request:
    fields: dict[str, Any] = {name: request.POST[name] for name in request.POST}
    if files := [*request.POST.getlist("files"), *files]:
        fields["files"] = files
    if text_field in fields:
        fields["user_text"] = fields.pop(text_field)
    return request_of(_typed(fields))


def _typed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form's fields, which are all text, as JSON would have them."""
    typed = {name: value for name, value in fields.items() if (name, value) != ("type", "")}
    before = typed.get("before")
    if isinstance(before, str) and before.isascii() and before.isdecimal() and len(before) < 11:
        typed["before"] = int(before)
    call = typed.get("call")
    if isinstance(call, str) and call.isascii() and call.isdecimal() and len(call) < 11:
        typed["call"] = int(call)
    if typed.get("approved") in ("true", "false"):
        typed["approved"] = typed["approved"] == "true"
    return typed


class Refusal(NamedTuple):
    """Why a message did not become a turn, and the sentence for the user."""

    fate: Fate
    text: str


class Answer:
    """Asks for a turn, and waits until the words are committed or refused."""

    def __init__(self) -> None:
        self._what: asyncio.Future[RunningTurn | Refusal | None]
        self._what = asyncio.get_running_loop().create_future()

    def begun(self, turn: RunningTurn) -> None:
        self._set(turn)

    async def known(self, turn_id: uuid.UUID) -> None:
        self._set(None)

    async def refused(self, turn_id: uuid.UUID, fate: Fate, text: str) -> None:
        self._set(Refusal(fate, text))

    async def of(self, task: asyncio.Task[None] | None) -> RunningTurn | Refusal | None:
        """Return the turn that has begun, or why none has; None if it had begun before.

        `task` takes the turn. It goes on if this is cancelled.
        """
        if task is not None:
            either: list[asyncio.Future[Any]] = [self._what, task]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._what.done():
            # The server stops.
            return Refusal(Fate.FAILED, _("This message could not be sent. Try again."))
        return self._what.result()

    def _set(self, what: RunningTurn | Refusal | None) -> None:
        if not self._what.done():
            self._what.set_result(what)
