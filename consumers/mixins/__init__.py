"""The parts of a chat; you can override each mixin piece by piece."""

from .agent import AgentMixin
from .chat import ChatMixin
from .llm import LLMMixin

__all__ = ["AgentMixin", "ChatMixin", "LLMMixin"]
