"""The projections there are, by name."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import UnknownProjection
from .messages import MessagesProjection

PROJECTIONS = {projection.name: projection for projection in (MessagesProjection(),)}


def named(names: Sequence[str]) -> list[MessagesProjection]:
    """The projections of these names, all of them for no name. Raises UnknownProjection."""
    for name in names:
        if name not in PROJECTIONS:
            raise UnknownProjection(name, sorted(PROJECTIONS))
    return [PROJECTIONS[name] for name in names or PROJECTIONS]
