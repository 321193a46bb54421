from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from ..core.admin import ReadOnlyAdmin
from ..core.wellformed import wellformed
from ..events.erasure.past import erasures_in
from .models import ConversationMessage, SearchEntry, Usage
from .search.query import SearchError

_EXCERPT = 120
_DIGITS = 19
"""A number with fewer digits fits into any integer column."""
_LINES = 10
"""The most erasures that are reported above a page of messages."""


@admin.register(ConversationMessage)
class ConversationMessageAdmin(ReadOnlyAdmin):
    """The message list, as people and models read it."""

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

    def get_changelist_instance(self, request: Any) -> Any:
        changelist = super().get_changelist_instance(request)
        conversations = {message.conversation_id for message in changelist.result_list}
        if changelist.query.isdecimal() and len(changelist.query) < _DIGITS:
            # The requested conversation may have no messages left.
            conversations.add(int(changelist.query))
        for line in _erased(conversations)[:_LINES]:
            messages.info(request, line)
        return changelist

    @admin.display(description=_("role"))
    def role(self, message: ConversationMessage) -> str:
        return getattr(message.content, "type", "tool")

    @admin.display(description=_("content"))
    def excerpt(self, message: ConversationMessage) -> str:
        return _shortened(_words(message.content))

    @admin.display(description=_("content"))
    def text(self, message: ConversationMessage) -> str:
        return format_html("<pre>{}</pre>", _words(message.content))


@admin.register(SearchEntry)
class SearchEntryAdmin(ReadOnlyAdmin):
    """Full-text search over everything that was said, including cleared and unanswered messages."""

    list_display = ("id", "conversation", "version", "role", "excerpt", "user", "created_at")
    list_select_related = ("conversation", "user")
    ordering = ("-conversation_id", "-version")
    list_per_page = 50
    search_fields = ("text",)
    fields = (
        "conversation",
        "version",
        "role",
        "words",
        "user",
        "actor_id",
        "turn_id",
        "created_at",
    )

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        if not search_term.strip():
            return queryset, False
        try:
            return queryset.search(search_term), False
        except SearchError as error:
            messages.warning(request, str(error))
            return queryset.none(), False

    @admin.display(description=_("text"))
    def excerpt(self, entry: SearchEntry) -> str:
        return _shortened(entry.text)

    @admin.display(description=_("text"))
    def words(self, entry: SearchEntry) -> str:
        return format_html("<pre>{}</pre>", entry.text)


@admin.register(Usage)
class UsageAdmin(ReadOnlyAdmin):
    """The usage of turns: one row for each conversation, user, model and day."""

    list_display = (
        "day",
        "conversation",
        "user",
        "model",
        "turns",
        "failures",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "tool_calls",
        "tool_errors",
        "seconds",
    )
    list_filter = ("model",)
    list_select_related = ("conversation", "user")
    date_hierarchy = "day"
    list_per_page = 50
    fields = (
        "day",
        "conversation",
        "user",
        "actor_id",
        "model",
        "turns",
        "failures",
        "failed",
        "cancelled",
        "interrupted",
        "unrecorded",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "tool_calls",
        "tool_errors",
        "seconds",
        "max_seconds",
    )

    def get_search_fields(self, request: Any) -> tuple[str, ...]:
        return ("=conversation__id", "model", f"user__{get_user_model().USERNAME_FIELD}")

    @admin.display(description=_("mean duration (s)"))
    def seconds(self, usage: Usage) -> str | None:
        return None if usage.mean_seconds is None else f"{usage.mean_seconds:.2f}"

    @admin.display(description=_("longest duration (s)"))
    def max_seconds(self, usage: Usage) -> str | None:
        return f"{usage.latency_max_us / 1e6:.2f}" if usage.timed else None


def _erased(conversations: Collection[int]) -> list[str]:
    """Return one line for each erasure, the latest first: they stand in for erased messages."""
    records: Counter[tuple[dt.datetime, int, str]] = Counter()
    for conversation, erasures in erasures_in(conversations).items():
        for erasure in erasures.values():
            records[erasure.at, conversation, erasure.sentence] += 1
    return [
        _("Conversation %(pk)s: %(count)s events. %(sentence)s")
        % {"pk": conversation, "count": count, "sentence": sentence}
        for (_at, conversation, sentence), count in sorted(records.items(), reverse=True)
    ]


def _words(content: Any) -> str:
    """Return a message's text, or a tool's name and its output."""
    if hasattr(content, "text"):
        return wellformed(str(content.text))
    return wellformed(f"{content.get('tool', '')}: {content.get('output', content)}")


def _shortened(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"
