"""What PostgreSQL and SQLite do differently, as one interface."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from ...core.errors import ConfigurationError
from ..tables.event import Event
from .postgresql import PostgreSQL
from .sqlite import SQLite


class Dialect(Protocol):
    """The statements of an append and of the sequencer."""

    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        """A cursor for statements that run again and again."""

    def read_standing(
        self, cursor: Any, stream_id: int, turn_id: uuid.UUID | None, *, join: bool
    ) -> Any:
        """How a stream stands, in one statement, and what became of a turn, if one is given.

        A row of: version, hash and time of the head; last type and actor of the turn, and whether
        it is erased; version, turn, actor and metadata of the TurnStarted that is open. With `join`
        also join the stream's writers until the transaction ends: a rebuild is kept out.
        """

    def insert(self, cursor: Any, events: Sequence[Event], follow: Sequence[str]) -> None:
        """Insert a batch of one stream, the row that says it has no positions yet, and what the
        inline projections make of it (see `hooks.InlineProjection.insert`)."""

    def insert_after(
        self,
        connection: BaseDatabaseWrapper,
        head: bytes,
        events: Sequence[Event],
        follow: Sequence[str],
        texts: Sequence[str],
        runner: uuid.UUID | None,
    ) -> bool:
        """The same as a transaction of its own, if the stream's head has this hash; on PostgreSQL
        in one round trip. Returns whether it has happened.

        Nor does it happen if one of the `texts`, by their digests, or the `runner` is not there.
        Raises IntegrityError if another writer was faster by a moment.
        """

    def projected(self, insert: str, events: str) -> str:
        """The statement that such an `insert` is, of the events in a relation."""

    def times(self, name: str) -> tuple[Any, Callable[[Any], dt.datetime]]:
        """An expression for a column of times, and what makes a datetime of each of its values.

        Faster than the column itself, which matters where thousands are loaded.
        """

    def lock_streams(
        self, cursor: Any, stream_ids: Sequence[int], *, give_way: bool = False
    ) -> None:
        """Keep writers of these streams out until the transaction ends.

        With `give_way`, raise an error for which `is_lock_timeout` holds rather than wait long.
        """

    def use_indexes(self, cursor: Any) -> None:
        """Until the transaction ends, reach rows by index: it is about a few of very many."""

    def take_room(self, cursor: Any) -> None:
        """Until the transaction ends, work on some thousand events at once, with memory for them,
        and let the commit not wait for the disk: what it writes can be made again."""

    def check_foreign_keys(self, cursor: Any) -> None:
        """Raise IntegrityError for a row of this transaction that refers to nothing."""

    def lock_sequencer(self, cursor: Any) -> None:
        """Be the only sequencer until the transaction ends."""

    def lock_signer(self, cursor: Any) -> None:
        """Be the only one that stores tiles and signs checkpoints until the transaction ends."""

    def lock_projection(self, cursor: Any, name: str, *, shared: bool = False) -> None:
        """Keep the projection's checkpoint where it is until the transaction ends; alone, or
        together with others who only rely on it."""

    def try_lock_projection(self, cursor: Any, name: str) -> bool:
        """The same, alone, if nobody else has it."""

    def queue_for_projection(self, cursor: Any, name: str) -> bool:
        """The same, alone, after those who have it now and before those who come next. May raise
        an error for which `is_lock_timeout` holds."""


_DIALECTS: dict[str, Dialect] = {"postgresql": PostgreSQL(), "sqlite": SQLite()}


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """The dialect of a connection. Raises ConfigurationError for other databases."""
    try:
        return _DIALECTS[connection.vendor]
    except KeyError:
        raise ConfigurationError(
            f"turnlog keeps its log in PostgreSQL or SQLite, but database"
            f" {connection.alias!r} is {connection.vendor}"
        ) from None
