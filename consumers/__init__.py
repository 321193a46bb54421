"""Everything that users touch: the chat over WebSocket and over HTTP, and its page.

Each name is imported at its first use: this is a Django app, and models are not ready when Django
imports it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis.mixin import DataAnalysisMixin
    from .chat import (
        AgentChatConsumer,
        AgentChatView,
        ChatConsumer,
        ChatView,
        DataAnalysisChatConsumer,
        DataAnalysisChatView,
        DataAnalystChatConsumer,
    )
    from .mixins import AgentMixin, ChatMixin, LLMMixin
    from .routing import reverse_ws

__all__ = [
    "AgentChatConsumer",
    "AgentChatView",
    "AgentMixin",
    "ChatConsumer",
    "ChatMixin",
    "ChatView",
    "DataAnalysisChatConsumer",
    "DataAnalysisChatView",
    "DataAnalysisMixin",
    "DataAnalystChatConsumer",
    "LLMMixin",
    "reverse_ws",
]

_HOMES = {
    "AgentChatConsumer": ".chat",
    "AgentChatView": ".chat",
    "AgentMixin": ".mixins",
    "ChatConsumer": ".chat",
    "ChatMixin": ".mixins",
    "ChatView": ".chat",
    "DataAnalysisChatConsumer": ".chat",
    "DataAnalysisChatView": ".chat",
    "DataAnalysisMixin": ".analysis.mixin",
    "DataAnalystChatConsumer": ".chat",
    "LLMMixin": ".mixins",
    "reverse_ws": ".routing",
}

if not TYPE_CHECKING:  # Type checkers know the names, and report any other.

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name], __name__), name)
