"""What turnlog tries again, how often, and after which pauses: all numbers in one place.

Whether a database error is worth another try is decided in `core.faults.is_passing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LOST_RACES = 10
"""Tries of an append that other writers of its stream keep overtaking."""
VANISHED_TEXTS = 3
"""Tries to find a text that an erasure may delete between two tries."""
VANISHED_ACTORS = 3
"""Tries to find a user's pseudonym that may be forgotten between two tries."""
ERASED_MEANWHILE = 5
"""Tries of an export while others erase what it would write."""
OVERTAKEN_PROMPTS = 5
"""Times that an overridden chat is asked for its previous messages while others write."""
REFUSED_LOCKS = 200
"""Times that a rebuild gives way to writers: 300 ms each, a minute in all."""
EVENT_TRIES = 3
"""Tries of an event that a projection cannot apply, before it stops or parks the event."""
EVENT_PAUSE = 1.0
"""Seconds before the second of these tries; the pauses double."""
HOOK_TRIES = 3
"""Tries of a project's own hook that fails although the log can be written to."""
HOOK_SECONDS = 60.0
"""Seconds that a project's own hook may take."""
LAYER_PAUSE = 1.0
"""Seconds before the channel layer is tried again."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds that double from `first` to `longest`, for `seconds` in all."""

    first: float
    longest: float
    seconds: float = float("inf")

    def pauses(self) -> Iterator[float]:
        """Yield each pause. When there are no more, give up."""
        pause, waited = self.first, 0.0
        while waited < self.seconds:
            yield pause
            waited += pause
            pause = min(self.longest, 2 * pause)


RECORDING = Backoff(first=0.5, longest=5.0, seconds=600.0)
"""How a finished turn waits to be recorded while the database is away."""
STARTING = Backoff(first=0.2, longest=1.0, seconds=3.0)
"""How a turn's start waits for the database: its person waits too, and can send again."""
FOLLOWING = Backoff(first=1.0, longest=5.0)
"""How a worker waits to continue while the database is away."""
LOCKED = Backoff(first=0.05, longest=0.5, seconds=20.0)
"""How work in a database thread waits for a lock that another process or thread holds for long."""
ASIDE = Backoff(first=0.05, longest=0.4, seconds=1.5)
"""How a turn's start waits for a lock that its caller's own transaction may hold: then for ever."""
CALLING = Backoff(first=0.5, longest=8.0)
"""How a model's call waits to be tried again, as often as a chat allows."""
