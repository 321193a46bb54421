"""The address of the stream that keeps a page up to date, from where the page is."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.core.handlers.asgi import ASGIRequest
from django.urls import NoReverseMatch, reverse
from django_eventstream.utils import make_id

from ...core import conf
from ...events.models import Event
from .channels import Channel
from .cursor import Cursor, cursor_at
from .lists import list_head


def conversation_stream(request: Any, event: Event, only: uuid.UUID | None) -> str:
    """Return the stream of a page that shows a conversation up to an event; empty if the project
    has none, or its server cannot stream."""
    if not (address := _address(request)):
        return ""
    channel = Channel(event.stream_id, conf.tenant(), only)
    return _from(address, channel, cursor_at(event.version, bytes(event.hash)))


def list_stream(request: Any) -> str:
    """Return the same for the list of conversations; ask before the list is read."""
    if not (address := _address(request)):
        return ""
    return _from(address, Channel(None, conf.tenant()), list_head())


def _from(address: str, channel: Channel, cursor: Cursor) -> str:
    last = make_id({str(channel): int(cursor)})
    asked = {"channel": channel.asked, "form": "versions", "lastEventId": last}
    return f"{address}?{urlencode(asked)}"


def _address(request: Any) -> str:
    if not isinstance(request, ASGIRequest):
        return ""
    try:
        return reverse("turnlog_stream:events")
    except NoReverseMatch:
        return ""
