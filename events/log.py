"""The append-only log: append to a stream, read a stream, read everything.

An append reads how the stream stands, decides, inserts the batch and commits; writers never wait
for each other. The uniqueness of (stream_id, version) decides a race, and the loser reads again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from django.db import IntegrityError, connections

from ..core import retrying
from ..core.errors import ConcurrencyError, IsolationRefused
from .attempt import Attempt, announce
from .chain import NewEvent
from .standing import Standing, memory
from .store.isolation import appending, is_outermost, note_other
from .store.sequence import sequence
from .tables.database import log_database
from .tables.event import Event

__all__ = ["NewEvent", "append", "append_decided", "read", "read_all"]

F = TypeVar("F")
Decision = Callable[[Standing, F], Sequence[NewEvent]]
"""A pure function of the stream's standing and of what was gathered. It may raise."""


def append(
    stream_id: int,
    events: Sequence[NewEvent],
    *,
    expected_version: int | None = None,
) -> list[Event]:
    """Append a batch in one transaction with its inline projections: all or nothing.

    Returns the stored events. Raises ConcurrencyError if the stream is not at
    `expected_version`, or if the race for the head was lost ten times; NotStored if the database
    does not keep all that it was given.
    """

    def decide(standing: Standing, _: None) -> Sequence[NewEvent]:
        if expected_version is not None and standing.version != expected_version:
            raise ConcurrencyError(stream_id, expected_version, standing.version)
        return events

    return append_decided(stream_id, decide, lambda standing: None)


def append_decided(
    stream_id: int,
    decide: Decision[F],
    gather: Callable[[Standing], F],
    *,
    turn_id: uuid.UUID | None = None,
) -> list[Event]:
    """Append what `decide` returns for the stream's standing and for what `gather` has read.

    `gather` reads what the decision needs besides the standing, and `decide` is pure. Both run
    again after a lost race. What was read still holds when the batch is inserted: nothing has been
    appended in between. Nothing is appended if the decision is empty, or raises.

    `turn_id` is the turn that `standing.turn` describes.
    """
    using = log_database()
    attempt = Attempt(stream_id, using, lambda standing: decide(standing, gather(standing)))
    alone = is_outermost(connections[using])
    if alone and not memory.is_contended(stream_id):
        with memory.alone(stream_id):
            stored = attempt.at_once(turn_id)
        if stored is not None:
            if stored:
                announce(stored)
            return stored
    for number in range(retrying.LOST_RACES):
        try:
            # Inside a caller's transaction this is a savepoint. Outermost, it is the transaction
            # itself, so that a try after a lost race begins with a fresh snapshot.
            with appending(using):
                # After a lost race, take the exclusive lock before reading: otherwise this writer
                # may keep losing if there are many.
                stored = attempt.in_transaction(turn_id, exclusive=attempt.lost or number > 0)
            if alone and stored:
                attempt.remember(stored)
            return stored
        except IsolationRefused:
            if not alone:
                raise  # The caller's transaction, which cannot be begun again.
            note_other(using)
        except IntegrityError:
            if not attempt.was_overtaken():
                raise  # No writer was faster: the error is a real one.
    raise ConcurrencyError(stream_id, attempt.standing.version, attempt.actual)


def read(stream_id: int, *, after: int = 0, until: int | None = None) -> Iterator[Event]:
    """Return a stream's events in order of version, those with `after` < version <= `until`."""
    events = Event.objects.using(log_database()).filter(stream_id=stream_id, version__gt=after)
    if until is not None:
        events = events.filter(version__lte=until)
    return events.order_by("version").iterator(chunk_size=1000)


def read_all(*, after: int = 0, limit: int | None = None) -> Iterator[Event]:
    """Read the whole log in order of position, from the first position above `after`.

    Gives a position to each event that has none yet, then yields at most `limit` events, each with
    its `position`. Once a reader reaches position N, nothing can appear at or before N.
    """
    sequence()
    using = log_database()
    limited = "" if limit is None else " LIMIT %s"
    events = Event.objects.using(using).raw(
        "SELECT e.*, p.position FROM turnlog_position p JOIN turnlog_event e"
        " ON e.stream_id = p.stream_id AND e.version = p.version"
        f" WHERE p.position > %s ORDER BY p.position{limited}",
        [after] if limit is None else [after, limit],
    )
    return events.iterator()
