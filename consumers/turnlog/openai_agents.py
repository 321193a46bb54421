"""A session of OpenAI's Agents SDK, kept in the log. It needs `django-turnlog[openai-agents]`."""

from turnlog.consumers.neighbours.openai_agents import TurnlogSession

__all__ = ["TurnlogSession"]
