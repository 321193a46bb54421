"""Mixins under the name the tutorial imports them by."""

from turnlog.consumers.mixins import AgentMixin, ChatMixin, LLMMixin

__all__ = ["AgentMixin", "ChatMixin", "LLMMixin"]
