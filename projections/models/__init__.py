from .checkpoint import Checkpoint, Parked
from .message import ConversationMessage, ConversationMessageQuerySet
from .search import SearchEntry, SearchEntryQuerySet
from .usage import Usage, UsageQuerySet

__all__ = [
    "Checkpoint",
    "ConversationMessage",
    "ConversationMessageQuerySet",
    "Parked",
    "SearchEntry",
    "SearchEntryQuerySet",
    "Usage",
    "UsageQuerySet",
]
