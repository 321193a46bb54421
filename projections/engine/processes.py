"""What the processes of a rebuild run; imports no models, for they begin without Django."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from typing import Any


def begin(alias: str, settings: dict[str, Any]) -> None:
    """Set Django up, with the parent's settings of the log's connection: a test runner has
    changed them."""
    import django
    from django.db import connections

    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    django.setup()
    connections[alias].settings_dict.update(settings)


def _end_with_the_parent() -> None:
    """A parent that was killed cannot end its processes, and they would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def rebuild_streams(name: str, streams: Sequence[int]) -> None:
    """Rebuild some conversations of the projection of this name."""
    from .chunks import rebuild_chunk
    from .registry import named

    [projection] = named([name])
    rebuild_chunk(projection, streams)
