from .checkpoint import Checkpoint, Parked
from .message import ConversationMessage, ConversationMessageQuerySet

__all__ = ["Checkpoint", "ConversationMessage", "ConversationMessageQuerySet", "Parked"]
