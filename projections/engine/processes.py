"""What the processes of a rebuild run. It imports no models: the processes begin without Django."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from typing import Any


def begin(alias: str, settings: dict[str, Any]) -> None:
    """Set up Django, with the parent's settings for the log's connection.

    A test runner has changed these settings.
    """
    # lazy: the process that imports this module has not set up Django yet
    import django
    from django.db import connections

    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    django.setup()
    connections[alias].settings_dict.update(settings)


def _end_with_the_parent() -> None:
    """End this process after its parent: a killed parent cannot, and this process would linger."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def rebuild_streams(name: str, streams: Sequence[int]) -> None:
    """Rebuild some conversations of the projection of this name."""
    # lazy: `begin` sets up Django, and only then can models be imported
    from .chunks import rebuild_chunk
    from .registry import named

    [projection] = named([name])
    rebuild_chunk(projection, streams)
