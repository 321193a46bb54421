"""What a chat is made of; each mixin may be overridden piece by piece."""

from .agent import AgentMixin
from .chat import ChatMixin
from .llm import LLMMixin

__all__ = ["AgentMixin", "ChatMixin", "LLMMixin"]
