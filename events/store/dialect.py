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
        """Return a cursor for statements that run again and again."""

    def read_standing(
        self, cursor: Any, stream_id: int, turn_id: uuid.UUID | None, *, join: bool
    ) -> Any:
        """Read in one statement how a stream stands and, if a turn is given, its state.

        The row: version, hash and time of the head; last type and actor of the turn, and whether
        it is erased; version, turn and actor of the TurnStarted that is open, type and metadata of
        that turn's last event. With `join` also join the stream's writers until the transaction
        ends, which keeps a rebuild out.
        """

    def insert(self, cursor: Any, events: Sequence[Event], follow: Sequence[str]) -> None:
        """Insert a batch of one stream, the row that says it has no positions yet, and the inline
        projections' rows (see `hooks.InlineProjection.insert`). Raises NotStored if the database
        does not keep all of them."""

    def insert_after(
        self,
        connection: BaseDatabaseWrapper,
        head: bytes,
        events: Sequence[Event],
        follow: Sequence[str],
        texts: Sequence[str],
        runner: uuid.UUID | None,
        actor: tuple[uuid.UUID, Any] | None,
    ) -> bool:
        """Do the same in a separate transaction, if the stream's head has this hash.

        On PostgreSQL this takes one round trip. Returns whether the batch was inserted: it is not
        if one of the `texts` (given as digests) or the `runner` is missing, or if `actor` is not a
        pseudonym and the key of its user. Raises IntegrityError if another writer was faster by a
        moment, NotStored if the database does not keep the whole batch.
        """

    def projected(self, insert: str, events: str) -> str:
        """Return an inline projection's `insert` as a statement over the events in a relation."""

    def events(
        self, connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]
    ) -> list[Event]:
        """The events that a SELECT of the columns `APPLIED` gives, loaded as fast as can be.

        The SELECT may name `position` after them.
        """

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
        """Until the transaction ends, reach rows by index: it needs few rows of large tables."""

    def take_room(self, cursor: Any) -> None:
        """Until the transaction ends, use memory for some thousand events at once, and do not let
        the commit wait for the disk: what it writes can be made again."""

    def check_foreign_keys(self, cursor: Any) -> None:
        """Raise IntegrityError if a row of this transaction refers to a missing row."""

    def size(self, cursor: Any) -> int:
        """How many bytes the log takes, with its indexes; on SQLite, the whole database."""

    def lock_sequencer(self, cursor: Any) -> None:
        """Be the only sequencer until the transaction ends."""

    def lock_signer(self, cursor: Any) -> None:
        """Be the only one that stores tiles and signs checkpoints until the transaction ends."""

    def lock_projection(self, cursor: Any, name: str, *, shared: bool = False) -> None:
        """Keep the projection's checkpoint where it is until the transaction ends. With `shared`,
        other transactions may do so at the same time."""

    def try_lock_projection(self, cursor: Any, name: str) -> bool:
        """Take the same lock alone, if it is free. Returns whether it was."""

    def queue_for_projection(self, cursor: Any, name: str) -> bool:
        """Take the same lock alone, after its present holders and before later requests.

        May raise an error for which `is_lock_timeout` holds.
        """


_DIALECTS: dict[str, Dialect] = {"postgresql": PostgreSQL(), "sqlite": SQLite()}


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect:
    """Return a connection's dialect. Raises ConfigurationError for other databases."""
    try:
        return _DIALECTS[connection.vendor]
    except KeyError:
        raise ConfigurationError(
            f"turnlog keeps its log in PostgreSQL or SQLite, but database"
            f" {connection.alias!r} is {connection.vendor}"
        ) from None
