"""pydantic-ai's messages, kept in the log. It needs `django-turnlog[pydantic-ai]`."""

from turnlog.consumers.neighbours.pydantic_ai import (
    amessage_history,
    arecord,
    message_history,
    record,
)

__all__ = ["amessage_history", "arecord", "message_history", "record"]
