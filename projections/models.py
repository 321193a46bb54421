"""The read models, and the projections' checkpoints."""

from .engine.model import Checkpoint, Parked
from .messages.model import ConversationMessage, ConversationMessageQuerySet
from .overview.model import Overview
from .search.model import SearchEntry, SearchEntryQuerySet
from .usage.model import Usage, UsageQuerySet

__all__ = [
    "Checkpoint",
    "ConversationMessage",
    "ConversationMessageQuerySet",
    "Overview",
    "Parked",
    "SearchEntry",
    "SearchEntryQuerySet",
    "Usage",
    "UsageQuerySet",
]
