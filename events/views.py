"""Searches of the reviewers' list that have a name: what one reviewer saves, all of them find."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from ..core.errors import RemarkRefused
from ..core.wellformed import wellformed
from .beside import VIEWS, opened
from .log import NewEvent, append
from .tables.event import Event
from .types import EventData, ViewChosen, ViewRemoved, ViewSaved

LONGEST_NAME, LONGEST_QUERY = 64, 1_000
"""Characters."""


def save(name: str, query: str, *, by: Any) -> Event:
    """Give a search a name, or a name another search. Raises RemarkRefused."""
    if len(query) > LONGEST_QUERY:
        raise RemarkRefused(
            _("Expected at most %(most)d characters, found %(found)d.")
            % {"most": LONGEST_QUERY, "found": len(query)}
        )
    return _write(ViewSaved(_name(name), wellformed(query)), by)


def remove(name: str, *, by: Any) -> Event:
    """Take a name away. Raises RemarkRefused."""
    return _write(ViewRemoved(_name(name)), by)


def choose(name: str, *, by: Any) -> Event:
    """Let a user's list begin with a search; with all conversations if the name is empty. Raises
    RemarkRefused."""
    return _write(ViewChosen(_name(name) if name else ""), by)


def _write(data: EventData, by: Any) -> Event:
    return append(opened(VIEWS), [NewEvent(data, user=by)])[-1]


def _name(name: str) -> str:
    plain = " ".join(wellformed(name).split())
    if not 0 < len(plain) <= LONGEST_NAME:
        raise RemarkRefused(
            _("Expected a name of 1 to %(most)d characters, found %(found)d.")
            % {"most": LONGEST_NAME, "found": len(plain)}
        )
    return plain
