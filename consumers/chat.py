"""The consumers and the views that a project subclasses."""

from __future__ import annotations

from ..core.specs import LLMModel
from .analysis.mixin import DataAnalysisAgentMixin
from .http.view import HttpChat
from .socket.websocket import ChatSocket


class ChatConsumer(ChatSocket):
    """A chat with a model, over a WebSocket; each turn goes into the conversation's log."""

    def get_tools(self) -> tuple[()]:
        return ()


class AgentChatConsumer(ChatSocket):
    """A chat with a model that has tools, over a WebSocket; each turn goes into the log.

    If its URL has no conversation, it still chats, and records nothing.
    """


class ChatView(HttpChat):
    """A chat with a model, over HTTP; each turn goes into the conversation's log."""

    def get_tools(self) -> tuple[()]:
        return ()


class AgentChatView(HttpChat):
    """A chat with a model that has tools, over HTTP; each turn goes into the log."""


class DataAnalysisChatConsumer(DataAnalysisAgentMixin, AgentChatConsumer):
    """A chat about a table, over a WebSocket: the model answers with Python that it runs."""

    llm_model = LLMModel.OPENAI_GPT_4O


DataAnalystChatConsumer = DataAnalysisChatConsumer


class DataAnalysisChatView(DataAnalysisAgentMixin, AgentChatView):
    """A chat about a table, over HTTP: the model answers with Python that it runs."""

    llm_model = LLMModel.OPENAI_GPT_4O
