"""A request for a stream: which channels, for whom, and from where. Or one sentence why not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from django.contrib.auth import SESSION_KEY
from django.utils.translation import gettext as _

from ...core import conf
from ...core.errors import TurnlogError
from ...core.wellformed import clipped
from ..socket import limits
from .channels import BadChannel, Channel, channel_of, is_ours
from .lacking import Forbidden, lacking
from .manager import LogChannelManager
from .reader import Reader
from .rights import own_channel

MOST_CHANNELS = 10
_LONGEST = 4_000
_ID = re.compile("[0-9]{1,39}", re.ASCII)

FORMS = ("events", "versions")
"""What a client gets: each event, or only that there is something up to a version."""


class Refused(TurnlogError):
    """A request that gets no stream, with the status of the answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Opening:
    """What a stream starts from: an id for each channel, None for one that stores nothing."""

    user: Any
    session_key: str | None
    scope: Mapping[str, Any]
    ids: Mapping[str, int | None]
    reader: Reader | None
    """Who gets words; None if only versions were asked for."""


def scope_of(request: Any) -> Mapping[str, Any]:
    """Return who asks, None for a guest, and from where; it uses the database."""
    user = getattr(request, "user", None)
    if user is not None and not user.is_authenticated:
        user = None
    return {"user": user, "client": request.scope.get("client")}


def require_room(scope: Mapping[str, Any]) -> None:
    """Raise Refused if its person may open no more streams now. On the event loop only."""
    try:
        limits.require_room(scope)
    except limits.TooMany as error:
        raise Refused(429, str(error)) from error


def opening_of(request: Any, view_kwargs: Mapping[str, Any], scope: Mapping[str, Any]) -> Opening:
    """Return what a request asks for; it uses the database. Raises Refused."""
    user = scope["user"]
    form = request.GET.get("form", FORMS[0])
    if form not in FORMS:
        raise Refused(
            400,
            _("Expected form=%(forms)s, found %(form)s.")
            % {"forms": "|".join(FORMS), "form": clipped(form, 40)},
        )
    given = _ids_given(request)
    ids: dict[str, int | None] = {}
    for name, key in _channels(request, view_kwargs, user):
        last = given.get(key)
        try:
            # One that is given is looked at by the stream itself, which can say what is wrong.
            ids[name] = last if last is not None else lacking(user, name, None, None).id
        except Forbidden as error:
            raise _not_there() from error
    session_key = _session_key(request, user)
    reader = Reader(request, session_key) if form == "events" else None
    return Opening(user, session_key, scope, ids, reader)


def _channels(
    request: Any, view_kwargs: Mapping[str, Any], user: Any
) -> Sequence[tuple[str, Channel | str]]:
    """Return the channels' whole names, each with what its id is found by."""
    asked = sorted(set(LogChannelManager().asked(request, view_kwargs)))
    if not 0 < len(asked) <= MOST_CHANNELS:
        raise Refused(
            400,
            _("Expected 1 to %(most)d channels, as in ?channel=turnlog-7, found %(count)d.")
            % {"most": MOST_CHANNELS, "count": len(asked)},
        )
    found: list[tuple[str, Channel | str]] = []
    for name in asked:
        if not is_ours(name):
            # Without a manager of the project's own, nobody has said who may read it.
            if not conf.get().eventstream_channelmanager:
                raise _not_there()
            found.append((name, name))
            continue
        try:
            channel = channel_of(name)
        except BadChannel as error:
            raise Refused(400, str(error)) from error
        if user is None:
            raise Refused(403, _("Log in to follow conversations."))
        own = own_channel(user, channel)
        if own is None:
            raise _not_there()
        found.append((str(own), _without_part(own)))
    return found


def _ids_given(request: Any) -> dict[Channel | str, int]:
    """Return the ids that a client has, by channel; those of the header come first."""
    asked = [each for each in request.GET.getlist("lastEventId") if each]
    text = request.headers.get("Last-Event-ID") or (asked[-1] if asked else "")
    if text == "error":
        raise Refused(400, _("This stream has ended: open the page again."))
    ids: dict[Channel | str, int] = {}
    for part in filter(None, text.split(",")):
        quoted, _colon, last = part.rpartition(":")
        name = unquote(quoted)
        if not name or not _ID.fullmatch(last) or len(text) > _LONGEST:
            raise Refused(
                400,
                _("Expected the id of an event of this stream, found %(text)s.")
                % {"text": clipped(text, 60)},
            )
        try:
            ids[_without_part(channel_of(name)) if is_ours(name) else name] = int(last)
        except BadChannel as error:
            raise Refused(400, str(error)) from error
    return ids


def _without_part(channel: Channel) -> Channel:
    """A cursor says which event it is at, for whoever has it: also if they see more now."""
    return Channel(channel.stream_id, channel.tenant)


def _session_key(request: Any, user: Any) -> str | None:
    """Return the session that the user is logged in by; None if it is something else."""
    session = getattr(request, "session", None)
    # A user who was deactivated is a guest, whose session still says who they were.
    if user is None or session is None or SESSION_KEY not in session:
        return None
    key: str | None = session.session_key
    return key


def _not_there() -> Refused:
    return Refused(404, _("There is no such channel that you may follow."))
