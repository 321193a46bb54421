"""What the page knows of the person it is rendered for, and of what is in its way."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.urls import NoReverseMatch, reverse

from ..obstacles import obstacle, obstacle_of_stream
from ..socket.access import person_of

register = template.Library()


@register.simple_tag(takes_context=True)
def turnlog_person(context: Any) -> str:
    """Return an opaque name of the person who asked for this page, "" if that is not known."""
    request = _request_of(context)
    try:
        return person_of(getattr(request, "user", None))
    except SynchronousOnlyOperation:
        return ""  # An async view that has not looked at the session itself.


@register.simple_tag(takes_context=True)
def turnlog_obstacle(context: Any) -> str:
    """Return what may keep the page from its chat, for its developer; "" without DEBUG."""
    if not settings.DEBUG:
        return ""
    request = _request_of(context)
    if context.get("connect_url") and not context.get("ws_url"):
        return obstacle_of_stream(request)
    return obstacle(request, context.get("ws_url"))


@register.simple_tag(takes_context=True)
def turnlog_conversations(context: Any) -> str:
    """Return the address of the person's list of conversations, "" if there is none.

    It is `conversations_url` in the template's context, or else, for somebody who is signed in,
    that of a `ConversationList` in the project's URLs.
    """
    if "conversations_url" in context:
        return str(context["conversations_url"] or "")
    try:
        user = getattr(_request_of(context), "user", None)
        return reverse("turnlog_conversations:list") if user and user.is_authenticated else ""
    except (NoReverseMatch, SynchronousOnlyOperation):
        return ""


def _request_of(context: Any) -> Any:
    return getattr(context, "request", None) or context.get("request")
