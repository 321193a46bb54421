"""The models, under the name by which the tutorial imports them."""

from turnlog.events.models import Conversation
from turnlog.projections.models import ConversationMessage

__all__ = ["Conversation", "ConversationMessage"]
