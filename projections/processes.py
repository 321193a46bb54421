"""What the processes of a rebuild run; imports no models, for they begin without Django."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def begin(alias: str, settings: dict[str, Any]) -> None:
    """Set Django up, with the parent's settings of the log's connection: a test runner has
    changed them."""
    import django
    from django.db import connections

    django.setup()
    connections[alias].settings_dict.update(settings)


def rebuild_streams(name: str, streams: Sequence[int]) -> None:
    """Rebuild some conversations of the projection of this name."""
    from .rebuild import rebuild_chunk
    from .registry import named

    [projection] = named([name])
    rebuild_chunk(projection, streams)
