"""Runs Python that a model wrote: outside of this process, and away from everything.

    >>> outcome = await run((place, user.pk), "df['price'].mean()", table=table, seconds=30)
    >>> outcome.value
    12.5

Each place, a conversation and the person who owns the worker, has a worker of its own. Variables
live from call to call, until the worker ends: when it is idle for long, when the code runs for too
long, or by `end`.

The box knows nothing of chats, models or the log.
"""

from .outcome import Outcome, Table
from .places import Place
from .running import end, end_all, end_conversation, places, run, tier
from .standing import Tier

__all__ = [
    "Outcome",
    "Place",
    "Table",
    "Tier",
    "end",
    "end_all",
    "end_conversation",
    "places",
    "run",
    "tier",
]
