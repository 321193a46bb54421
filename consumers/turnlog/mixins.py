"""The mixins, under the name by which the tutorial imports them."""

from turnlog.consumers.analysis.mixin import DataAnalysisMixin
from turnlog.consumers.mixins import AgentMixin, ChatMixin, LLMMixin

__all__ = ["AgentMixin", "ChatMixin", "DataAnalysisMixin", "LLMMixin"]
