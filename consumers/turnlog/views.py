"""The views, under the name by which projects import them."""

from turnlog.consumers.chat import AgentChatView, ChatView, DataAnalysisChatView
from turnlog.consumers.conversations.view import ConversationList

__all__ = ["AgentChatView", "ChatView", "ConversationList", "DataAnalysisChatView"]
