"""What a chat is made of; each mixin may be overridden piece by piece."""

from .agent import AgentMixin
from .chat import ChatMixin
from .data_analysis import DataAnalysisMixin
from .llm import LLMMixin

__all__ = ["AgentMixin", "ChatMixin", "DataAnalysisMixin", "LLMMixin"]
