"""The read side: read models that are derived from the log and can be deleted and rebuilt.

Use `Projection` and `register` to write a projection, and `as_of`, `replay` and `diff` to travel in
time. `HistoryRule` chooses the previous messages that a model is given. turnlog raises
`SearchError` for a search that cannot run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.making import rebuild_rows
    from .engine.projection import Projection
    from .engine.registry import register
    from .messages.previous import HistoryRule
    from .search.query import SearchError
    from .travel.moments import as_of, diff, replay
    from .travel.prompts import ModelInput, PromptLost
    from .travel.states import ConversationState, Difference

__all__ = [
    "ConversationState",
    "Difference",
    "HistoryRule",
    "ModelInput",
    "Projection",
    "PromptLost",
    "SearchError",
    "as_of",
    "diff",
    "rebuild_rows",
    "register",
    "replay",
]

_HOMES = {
    "ConversationState": ".travel.states",
    "Difference": ".travel.states",
    "HistoryRule": ".messages.previous",
    "ModelInput": ".travel.prompts",
    "Projection": ".engine.projection",
    "PromptLost": ".travel.prompts",
    "SearchError": ".search.query",
    "as_of": ".travel.moments",
    "diff": ".travel.moments",
    "rebuild_rows": ".engine.making",
    "register": ".engine.registry",
    "replay": ".travel.moments",
}


if not TYPE_CHECKING:  # Type checkers know the names, and report any other.

    def __getattr__(name: str) -> Any:
        # Lazy: Django imports this package before its models may be imported.
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name], __name__), name)
