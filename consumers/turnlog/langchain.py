"""LangChain's chat history, kept in the log. It needs nothing beside turnlog."""

from turnlog.consumers.neighbours.langchain import TurnlogChatMessageHistory

__all__ = ["TurnlogChatMessageHistory"]
