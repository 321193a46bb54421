"""Numbers in an address or a form."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _

from ...core.errors import TurnlogError
from ...core.wellformed import wellformed

LARGEST = 2**31 - 1


class BadNumber(TurnlogError, ValueError):
    """Something that is no version."""


def number_in(given: Mapping[str, str], name: str) -> int | None:
    """Return a version by its name; None for none. Raises BadNumber."""
    text = given.get(name, "")
    return version_of(text) if text else None


def version_of(text: str) -> int:
    """Return the version that a text means. Raises BadNumber."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and 0 < int(text) <= LARGEST):
        found = wellformed(text[:40])
        raise BadNumber(_("Expected a version, such as 12, found %(text)s.") % {"text": found})
    return int(text)
