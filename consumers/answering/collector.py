"""Python's garbage collector, which stops the whole process while it looks at what there is."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST = 5.0
"""Seconds after which nobody lets it wait any longer, if those who do overlap without an end."""

_lock = threading.Lock()
_waited_for = 0
_since = 0.0


@contextmanager
def collector_waits() -> Iterator[None]:
    """Let it wait while a large value is encoded: its documents are many objects, and no garbage.

    They are looked at again each time their number has grown by a quarter, and nobody else of the
    process runs meanwhile.
    """
    global _waited_for, _since
    with _lock:
        waits = gc.isenabled() or (_waited_for > 0 and time.monotonic() < _since + _LONGEST)
        if waits and not _waited_for:
            _since = time.monotonic()
            gc.disable()
        _waited_for += waits
    try:
        yield
    finally:
        with _lock:
            _waited_for -= waits
            if waits and not _waited_for:
                gc.enable()
