"""The views, under the name by which projects import them."""

from turnlog.consumers.chat import AgentChatView, ChatView, DataAnalysisChatView

__all__ = ["AgentChatView", "ChatView", "DataAnalysisChatView"]
