"""The read side: read models derived from the log, which can be thrown away and rebuilt.

`Projection` and `register` to write one; `as_of`, `replay` and `diff` to travel in time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .moments import as_of, diff, replay
    from .projection import Projection
    from .registry import register

__all__ = ["Projection", "as_of", "diff", "register", "replay"]

_HOMES = {
    "Projection": ".projection",
    "as_of": ".moments",
    "diff": ".moments",
    "register": ".registry",
    "replay": ".moments",
}


def __getattr__(name: str) -> Any:
    # Django imports this package before its models may be.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
