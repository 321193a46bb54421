"""The models under the names the tutorial imports them by."""

from turnlog.events.models import Conversation
from turnlog.projections.models import ConversationMessage

__all__ = ["Conversation", "ConversationMessage"]
