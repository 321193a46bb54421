from __future__ import annotations

import json
import uuid
from typing import Any

from django.contrib import admin, messages
from django.db.models import Max, Q
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from ..core import admin as bounded
from ..core.admin import BoundedAdmin, ReadOnlyAdmin, number_of
from ..core.readable import LARGE, readable
from ..core.users import users_named
from ..core.wellformed import clipped
from .erasure.past import erasures_in, erasures_of
from .models import Conversation, Event
from .tables.held import hold_of, reason_of
from .types import EVENT_TYPES

ENDS = _("The list ends after %(count)s rows. Search or filter for others.")


@admin.register(Conversation)
class ConversationAdmin(BoundedAdmin):
    """A conversation may get another title or owner; it is never deleted."""

    list_display = ("id", "__str__", "user", "created_at", "events")
    list_display_links = ("id", "__str__")
    list_filter = ("created_at",)
    search_fields = ("title",)
    search_help_text = _("A number, a username, or a part of the title")
    raw_id_fields = ("user",)
    named_users = ("user",)
    ends = ENDS
    readonly_fields = (
        *("owner_actor_id", "forked_from", "forked_at", "created_at"),
        *("legal_hold", "erased", "events", "review"),
    )
    ordering = ("-id",)

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).filter(beside=None)

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        if not search_term.strip():
            return queryset, False
        found = Q(title__icontains=search_term.strip())
        found |= Q(pk=number_of(search_term)) | Q(user__in=users_named(search_term.strip()))
        return queryset.filter(found), False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def save_model(self, request: Any, obj: Conversation, form: Any, change: bool) -> None:
        obj.changed_by = request.user
        super().save_model(request, obj, form, change)

    def log_change(self, request: Any, obj: Conversation, message: Any) -> Any:
        # By its number: Django's own log would keep the title after it is erased.
        return super().log_change(request, Conversation(pk=obj.pk), message)

    def log_addition(self, request: Any, obj: Conversation, message: Any) -> Any:
        return super().log_addition(request, Conversation(pk=obj.pk), message)

    @admin.display(description=_("legal hold"))
    def legal_hold(self, conversation: Conversation) -> str:
        hold = hold_of(conversation.pk) if conversation.pk else None
        return reason_of(hold) if hold else "-"

    @admin.display(description=_("erased"))
    def erased(self, conversation: Conversation) -> str:
        erasures = erasures_of(conversation.pk) if conversation.pk else {}
        # One sentence for each erasure, not for each event.
        return "\n".join(dict.fromkeys(each.sentence for each in erasures.values())) or "-"

    @admin.display(description=_("review"))
    def review(self, conversation: Conversation) -> str:
        return _review_link(_("in the review room"), "conversation", conversation.pk)

    @admin.display(description=_("events"))
    def events(self, conversation: Conversation) -> str:
        if conversation.pk is None:
            return "-"
        url = reverse("admin:turnlog_events_event_changelist")
        return format_html(
            '<a href="{}?stream_id={}">{}</a>', url, conversation.pk, _("all events")
        )


class TypeFilter(admin.SimpleListFilter):
    """By type: within one conversation, or among the last events."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(EVENT_TYPES)]

    def queryset(self, request: Any, queryset: Any) -> Any:
        if not self.value():
            return queryset
        if "stream_id" not in request.GET:
            # A type has no index of its own, and a rare one would take reading the whole log.
            last = queryset.model.objects.aggregate(last=Max("pk"))["last"] or 0
            queryset = queryset.filter(pk__gt=last - bounded.MOST)
        return queryset.filter(type=self.value())


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """The log itself."""

    list_display = ("stream_id", "version", "type", "recorded_at", "turn_id", "excerpt")
    list_display_links = ("stream_id", "version")
    list_filter = (TypeFilter,)
    ends = ENDS
    search_fields = ("stream_id",)
    search_help_text = _("A conversation's number, such as 7, 7/12 for a version, or 7 and a turn")
    fields = (
        *("stream_id", "version", "type", "schema", "turn_id", "actor_id", "recorded_at"),
        *("review", "readable_payload", "metadata", "digest_in_hex", "hash_in_hex"),
    )

    def get_ordering(self, request: Any) -> tuple[str, ...]:
        # Each is an index.
        return ("-stream_id", "-version") if "stream_id" in request.GET else ("-id",)

    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        if not search_term.strip():
            return queryset, False
        found = _searched(search_term)
        if found is None:
            text = _(
                "Events are found by their conversation's number. For words, search the utterances."
            )
            messages.warning(request, text)
            return queryset.none(), False
        return queryset.filter(**found).order_by("-stream_id", "-version"), False

    def get_changelist_instance(self, request: Any) -> Any:
        changelist = super().get_changelist_instance(request)
        erased = [event for event in changelist.result_list if event.payload is None]
        if erased:
            # One query for the whole page, not one for each row.
            erasures = erasures_in({event.stream_id for event in erased})
            for event in erased:
                event.erasure = erasures.get(event.stream_id, {}).get(event.version)
        return changelist

    def lookup_allowed(self, lookup: str, value: str, request: Any = None) -> bool:
        return lookup == "stream_id" or super().lookup_allowed(lookup, value, request)

    @admin.display(description=_("payload"))
    def excerpt(self, event: Event) -> str:
        return _in_its_place(event) if event.payload is None else _gist(event.payload)

    @admin.display(description=_("review"))
    def review(self, event: Event) -> str:
        return _review_link(_("in the review room"), "event", event.stream_id, event.version)

    @admin.display(description=_("payload"))
    def readable_payload(self, event: Event) -> str:
        if event.payload is None:
            return _in_its_place(event)
        shown = readable(event.payload, LARGE)
        return format_html("<pre>{}{}</pre>", shown.text, " …" if shown.cut else "")

    @admin.display(description="digest")
    def digest_in_hex(self, event: Event) -> str:
        return bytes(event.digest).hex()

    @admin.display(description="hash")
    def hash_in_hex(self, event: Event) -> str:
        return bytes(event.hash).hex()


def _review_link(text: Any, page: str, *where: Any) -> str:
    """A link into the review room; a dash where the project has none."""
    try:
        return format_html(
            '<a href="{}">{}</a>', reverse(f"turnlog_review:{page}", args=where), text
        )
    except NoReverseMatch:
        return "-"


_SAID = ("content", "text", "reason", "title", "output", "tool")
_LONGEST = 100


def _gist(payload: str) -> str:
    """The beginning of what an event says, for people: its words, without the JSON around them."""
    try:
        document: Any = json.loads(payload) if len(payload) < 100_000 else payload
    except (ValueError, RecursionError):
        document = payload
    for name in ("message", "error", "produced", "message", "_value"):
        if isinstance(document, dict) and isinstance(document.get(name), dict):
            document = document[name]
    said = document
    if isinstance(document, dict):
        said = next((document[name] for name in _SAID if document.get(name)), document)
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return clipped(text, _LONGEST)


def _searched(text: str) -> dict[str, Any] | None:
    """What a search for `7`, `7/12` or `7 <turn id>` looks for; None if it is none of these."""
    first, *rest = text.replace("/", " / ", 1).split() or [""]
    found: dict[str, Any] = {"stream_id": number_of(first)}
    if rest[:1] == ["/"]:
        found["version"] = number_of(" ".join(rest[1:]))
    elif rest:
        try:
            found["turn_id"] = uuid.UUID(" ".join(rest))
        except ValueError:
            return None
    return None if None in found.values() else found


def _in_its_place(event: Any) -> str:
    """When and why an event was erased."""
    if not hasattr(event, "erasure"):
        event.erasure = erasures_of(event.stream_id).get(event.version)
    return event.erasure.sentence if event.erasure else str(_("erased"))
