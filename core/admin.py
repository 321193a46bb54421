"""What the admin pages of things that are never changed have in common."""

from __future__ import annotations

from typing import Any

from django.contrib import admin


class ReadOnlyAdmin(admin.ModelAdmin):
    """To look at and to search, for whoever has the view permission."""

    show_full_result_count = False  # Counting a log takes longer than reading a page of it.

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False
