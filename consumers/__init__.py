"""Everything that users touch: the chat over WebSocket and its page.

Each name is imported at its first use: this is a Django app, and models are not ready when Django
imports it.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "AgentChatConsumer": ".chat",
    "ChatConsumer": ".chat",
    "AgentMixin": ".mixins",
    "ChatMixin": ".mixins",
    "LLMMixin": ".mixins",
    "reverse_ws": ".routing",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name], __name__), name)
