"""The conversations that somebody finds by a query, as the list and exports have them."""

from __future__ import annotations

from typing import Any

from ...core.masking.masker import Masker
from ...projections.overview.finding import Page, page_of
from .access import is_reviewer, listed_for, sees_everybody
from .revealing import may_reveal


def found_for(user: Any, query: str, *, after: str = "", size: int = 50) -> Page:
    """Return a page of the conversations that a query means, of those that a user may find.

    For a reviewer who may not reveal personal data, nothing is found by it. Raises QueryError.
    """
    everybody = sees_everybody(user)
    return page_of(
        query,
        of=listed_for(user),
        said_by=None if everybody else user,
        reviewer=user if is_reviewer(user) else None,
        after=after,
        size=size,
        read=_readable if everybody and not may_reveal(user) else None,
    )


def _readable(pk: int, text: str) -> str:
    return Masker(pk).without(text)
