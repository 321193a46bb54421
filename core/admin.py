"""The bases of admin pages: what a page costs does not grow with the log."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.utils.functional import cached_property

MOST = 10_000
"""The most rows that a list counts, pages through or filters without an index."""
_DIGITS = 19
"""A number with fewer digits fits into any integer column."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # Takes none at run time.
    """Counts up to MOST rows: counting a log takes longer than reading a page of it."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found: int = rows.order_by().values("pk")[:MOST].count()
        return found


class BoundedChangeList(ChangeList):
    """Rows are in the order of the admin or the model, whatever the address asks for.

    That order has an index, and no two rows share a place in it.
    """

    def get_ordering(self, request: Any, queryset: Any) -> list[Any]:
        return list(self.model_admin.get_ordering(request) or self.lookup_opts.ordering or ())


class BoundedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Takes none at run time.
    """A list that is read through an index and ends after MOST rows.

    Users are read by queries of their own: they may be many, and a join could not use the order.
    """

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_per_page = 50

    def get_changelist(self, request: Any, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).prefetch_related(*self.named_users)

    named_users: tuple[str, ...] = ()
    """Fields that refer to users."""
    ends: Any = "%(count)s"
    """What to say at the end of a list that has more rows; translated by the room above."""

    def get_changelist_instance(self, request: Any) -> Any:
        changelist = super().get_changelist_instance(request)
        pages = changelist.paginator.num_pages
        if changelist.result_count >= MOST and changelist.page_num == pages:
            messages.info(request, self.ends % {"count": MOST})
        return changelist


class ReadOnlyAdmin(BoundedAdmin):
    """Users with the view permission can look at the rows and search them, and nothing else."""

    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


def number_of(text: str) -> int | None:
    """A number that any integer column holds; None if the text is no such number."""
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) < _DIGITS else None
