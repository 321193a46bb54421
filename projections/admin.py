from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin, messages
from django.db import connections
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from ..core import admin as bounded
from ..core.admin import ReadOnlyAdmin, number_of
from ..core.users import users_named
from ..core.wellformed import wellformed
from ..core.wording import text_of
from ..events.admin import ENDS
from ..events.erasure.past import erasures_in
from .models import ConversationMessage, SearchEntry, Usage
from .search.query import SearchError, is_indexed

_EXCERPT = 120
_LATELY = 1000
"""Rows of the usage from which the filter takes the names of models."""
_LINES = 10
"""The most erasures that are reported above a page of messages."""


@admin.register(ConversationMessage)
class ConversationMessageAdmin(ReadOnlyAdmin):
    """The message list, as people and models read it."""

    list_display = ("id", "conversation", "version", "role", "excerpt", "user", "created_at")
    list_select_related = ("conversation",)
    named_users = ("user",)
    ends = ENDS
    search_fields = ("conversation",)
    search_help_text = _("A conversation's number, or a username")
    ordering = ("-conversation_id", "-version")
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

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        return _of_conversation_or_user(request, queryset, search_term)

    def get_changelist_instance(self, request: Any) -> Any:
        changelist = super().get_changelist_instance(request)
        conversations = {message.conversation_id for message in changelist.result_list}
        number = number_of(changelist.query)
        if number is not None:
            # The requested conversation may have no messages left.
            conversations.add(number)
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
    list_select_related = ("conversation",)
    named_users = ("user",)
    ends = ENDS
    ordering = ("-conversation_id", "-version")
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
            if not is_indexed(search_term, connections[queryset.db]):
                # Such as a word of two characters on SQLite: every row would be read.
                queryset = queryset.lately(bounded.MOST).order_by("-pk")
                text = _(
                    "Only the last %(count)s utterances were searched: the words are too short for"
                    " the index."
                )
                messages.warning(request, text % {"count": bounded.MOST})
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


class ModelFilter(admin.SimpleListFilter):
    """By model, of those that were used lately."""

    title = _("model")
    parameter_name = "model"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        lately = Usage.objects.order_by("-day").values_list("model", flat=True)[:_LATELY]
        return [(name, name) for name in sorted(set(lately)) if name]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset.filter(model=self.value()) if self.value() else queryset


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
    list_filter = ("day", ModelFilter)
    list_select_related = ("conversation",)
    named_users = ("user",)
    ends = ENDS
    search_fields = ("conversation",)
    search_help_text = _("A conversation's number, or a username")
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

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        return _of_conversation_or_user(request, queryset, search_term)

    @admin.display(description=_("mean duration (s)"))
    def seconds(self, usage: Usage) -> str | None:
        return None if usage.mean_seconds is None else f"{usage.mean_seconds:.2f}"

    @admin.display(description=_("longest duration (s)"))
    def max_seconds(self, usage: Usage) -> str | None:
        return f"{usage.latency_max_us / 1e6:.2f}" if usage.timed else None


def _of_conversation_or_user(request: Any, queryset: Any, text: str) -> tuple[Any, bool]:
    """The rows of the conversation with this number, or of the user with this name."""
    if not text.strip():
        return queryset, False
    users = users_named(text.strip())
    number = number_of(text)
    if users:
        return queryset.filter(user__in=users), False
    if number is not None:
        return queryset.filter(conversation=number), False
    nobody = _("No user has this name. For words, search the utterances.")
    messages.warning(request, nobody)
    return queryset.none(), False


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
        return wellformed(text_of(content.text))
    if not isinstance(content, Mapping):
        return wellformed(text_of(content))  # Older versions recorded any value as a message.
    said = text_of(content.get("output", content))
    return wellformed(f"{text_of(content.get('tool', ''))}: {said}")


def _shortened(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"
