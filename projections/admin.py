from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from ..core.admin import ReadOnlyAdmin
from .models import ConversationMessage

_EXCERPT = 120


@admin.register(ConversationMessage)
class ConversationMessageAdmin(ReadOnlyAdmin):
    """Who said what and when, as people and models read it."""

    list_display = ("id", "conversation", "version", "role", "excerpt", "user", "created_at")
    list_select_related = ("conversation", "user")
    date_hierarchy = "created_at"
    ordering = ("-conversation_id", "-version")
    list_per_page = 50
    fields = (
        "conversation",
        "version",
        "role",
        "text",
        "user",
        "actor_id",
        "turn_id",
        "created_at",
    )

    def get_search_fields(self, request: Any) -> tuple[str, ...]:
        return ("=conversation__id", "content", f"user__{get_user_model().USERNAME_FIELD}")

    @admin.display(description=_("role"))
    def role(self, message: ConversationMessage) -> str:
        return getattr(message.content, "type", "tool")

    @admin.display(description=_("content"))
    def excerpt(self, message: ConversationMessage) -> str:
        text = _words(message.content)
        return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"

    @admin.display(description=_("content"))
    def text(self, message: ConversationMessage) -> str:
        return format_html("<pre>{}</pre>", _words(message.content))


def _words(content: Any) -> str:
    """A message's text, or a tool's name and what it gave."""
    if hasattr(content, "text"):
        return str(content.text)
    return f"{content.get('tool', '')}: {content.get('output', content)}"
