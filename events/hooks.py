"""What rooms above this one want to be told: filled in their `AppConfig.ready()`.

Imports run downwards only; calls upwards go through here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .models import Event

inline_projections: list[Callable[[Sequence[Event]], None]] = []
"""Called with each batch inside the append's own transaction: all or nothing."""

after_commit: list[Callable[[int, int], None]] = []
"""Called with (stream_id, version of the new head) once a batch is committed."""
