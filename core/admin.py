"""The base of admin pages for rows that are never changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's takes none at run time.
    """Users with the view permission can look at the rows and search them, and nothing else."""

    show_full_result_count = False  # Counting a log takes longer than reading a page of it.

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False
