"""The read models, and the projections' checkpoints."""

from .accesses.model import Access
from .engine.model import Checkpoint, Parked
from .messages.model import ConversationMessage, ConversationMessageQuerySet
from .overview.model import Overview
from .queues.model import Queue, QueueItem, QueueMark
from .reviews.model import Remark
from .search.model import SearchEntry, SearchEntryQuerySet
from .usage.model import Usage, UsageQuerySet
from .views.model import SavedView

__all__ = [
    "Access",
    "Checkpoint",
    "ConversationMessage",
    "ConversationMessageQuerySet",
    "Overview",
    "Parked",
    "Queue",
    "QueueItem",
    "QueueMark",
    "Remark",
    "SavedView",
    "SearchEntry",
    "SearchEntryQuerySet",
    "Usage",
    "UsageQuerySet",
]
