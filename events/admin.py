from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from ..core.admin import ReadOnlyAdmin
from ..core.wellformed import wellformed
from .erasure.past import erasures_in, erasures_of
from .models import Conversation, Event
from .tables.held import hold_of


@admin.register(Conversation)
class ConversationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # As ReadOnlyAdmin's.
    """A conversation may get another title or owner; it is never deleted."""

    list_display = ("id", "__str__", "user", "created_at", "events")
    list_display_links = ("id", "__str__")
    date_hierarchy = "created_at"
    raw_id_fields = ("user",)
    readonly_fields = (
        *("owner_actor_id", "forked_from", "forked_at", "created_at"),
        *("legal_hold", "erased", "events"),
    )
    list_select_related = ("user",)
    ordering = ("-id",)

    def get_search_fields(self, request: Any) -> tuple[str, ...]:
        return ("=id", "title", f"user__{get_user_model().USERNAME_FIELD}")

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def log_change(self, request: Any, obj: Conversation, message: Any) -> Any:
        # By its number: Django's own log would keep the title after it is erased.
        return super().log_change(request, Conversation(pk=obj.pk), message)

    def log_addition(self, request: Any, obj: Conversation, message: Any) -> Any:
        return super().log_addition(request, Conversation(pk=obj.pk), message)

    @admin.display(description=_("legal hold"))
    def legal_hold(self, conversation: Conversation) -> str:
        hold = hold_of(conversation.pk) if conversation.pk else None
        return getattr(hold.data, "reason", "") if hold else "-"

    @admin.display(description=_("erased"))
    def erased(self, conversation: Conversation) -> str:
        erasures = erasures_of(conversation.pk) if conversation.pk else {}
        # One sentence for each erasure, not for each event.
        return "\n".join(dict.fromkeys(each.sentence for each in erasures.values())) or "-"

    @admin.display(description=_("events"))
    def events(self, conversation: Conversation) -> str:
        if conversation.pk is None:
            return "-"
        url = reverse("admin:turnlog_events_event_changelist")
        return format_html(
            '<a href="{}?stream_id={}">{}</a>', url, conversation.pk, _("all events")
        )


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """The log itself."""

    list_display = ("stream_id", "version", "type", "recorded_at", "turn_id", "excerpt")
    list_display_links = ("stream_id", "version")
    list_filter = ("type",)
    search_fields = ("=stream_id", "=turn_id", "payload")
    date_hierarchy = "recorded_at"
    ordering = ("-id",)
    list_per_page = 50
    fields = (
        *("stream_id", "version", "type", "schema", "turn_id", "actor_id", "recorded_at"),
        *("readable_payload", "metadata", "digest_in_hex", "hash_in_hex"),
    )

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
        return _in_its_place(event) if event.payload is None else event.payload[:100]

    @admin.display(description=_("payload"))
    def readable_payload(self, event: Event) -> str:
        if event.payload is None:
            return _in_its_place(event)
        return format_html(
            "<pre>{}</pre>",
            # What is stored is plain ASCII where it must be; parsed, it may be halves again.
            wellformed(json.dumps(json.loads(event.payload), indent=2, ensure_ascii=False)),
        )

    @admin.display(description="digest")
    def digest_in_hex(self, event: Event) -> str:
        return bytes(event.digest).hex()

    @admin.display(description="hash")
    def hash_in_hex(self, event: Event) -> str:
        return bytes(event.hash).hex()


def _in_its_place(event: Any) -> str:
    """When and why an event was erased."""
    if not hasattr(event, "erasure"):
        event.erasure = erasures_of(event.stream_id).get(event.version)
    return event.erasure.sentence if event.erasure else str(_("erased"))
