"""Personal data is shown to whoever may reveal it, for a while, and only after they said why."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils import timezone

from ...events.models import Conversation
from .recording import record_look

PERMISSION = "turnlog_events.reveal_personal_data"
LASTS = dt.timedelta(minutes=30)

_KEY = "turnlog_revealed"
# Conversations that one session has revealed at a time; the oldest is masked again first.
_MOST = 20


def may_reveal(user: Any) -> bool:
    """Return whether a user may see personal data in what they review."""
    return bool(user.is_active and user.has_perm(PERMISSION))


def reveal(request: HttpRequest, conversation: Conversation, reason: str) -> None:
    """Show this session the personal data of a conversation for a while.

    Raises PermissionDenied, ReasonRefused.
    """
    if not may_reveal(request.user):
        raise PermissionDenied
    record_look(request, "revealed", "conversation", [conversation], reason=reason)
    kept = _kept(request)
    kept.pop(str(conversation.pk), None)
    kept[str(conversation.pk)] = (timezone.now() + LASTS).timestamp()
    request.session[_KEY] = dict(list(kept.items())[-_MOST:])


def mask_again(request: HttpRequest, conversation: Conversation) -> None:
    """End what `reveal` began."""
    kept = _kept(request)
    if kept.pop(str(conversation.pk), None) is not None:
        request.session[_KEY] = kept


def revealed_until(request: HttpRequest, pk: int) -> dt.datetime | None:
    """Return until when this session sees a conversation's personal data; None if it does not."""
    until = _kept(request).get(str(pk), 0)
    if until <= timezone.now().timestamp() or not may_reveal(request.user):
        return None
    return dt.datetime.fromtimestamp(until, tz=dt.UTC)


def _kept(request: HttpRequest) -> dict[str, float]:
    """What the session has revealed: until when, by conversation."""
    stored = getattr(request, "session", {}).get(_KEY)
    if not isinstance(stored, dict):
        return {}
    return {str(pk): float(until) for pk, until in stored.items() if _is_time(until)}


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < 1e11
