"""What the page knows of the person it is rendered for."""

from __future__ import annotations

from typing import Any

from django import template
from django.core.exceptions import SynchronousOnlyOperation

from ..socket.access import person_of

register = template.Library()


@register.simple_tag(takes_context=True)
def turnlog_person(context: Any) -> str:
    """Return an opaque name of the person who asked for this page, "" if that is not known."""
    request = getattr(context, "request", None) or context.get("request")
    try:
        return person_of(getattr(request, "user", None))
    except SynchronousOnlyOperation:
        return ""  # An async view that has not looked at the session itself.
