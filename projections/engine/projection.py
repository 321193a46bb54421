"""The base class of projections: small classes that turn events into rows of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from django.db import connections
from django.db.models import QuerySet

from ...core.errors import NotStored
from ...events import hooks
from ...events.store.dialect import dialect_of
from ...events.tables.database import log_database
from .bulk_insert import insert, insert_values
from .checkpoints import checkpoint_of
from .making import rebuild_rows

if TYPE_CHECKING:
    from django.db.models import Model

    from ...events.models import Event

_VERSIONS = 500
"""The most versions in one statement: each is a parameter."""


class Projection:
    """The base class of all projections, turnlog's and yours.

    Each row belongs to one conversation and follows from that conversation's events alone. So
    conversations can be deleted and rebuilt one by one, many at a time, while people chat. `apply`
    writes rows and nothing else: every rebuild would repeat what it does outside the database.
    """

    name: ClassVar[str] = ""
    """The name that commands use, in lower-case letters."""
    version: ClassVar[int] = 1
    """Raise it when what the rows mean has changed; the system check then asks for a rebuild."""
    handles: ClassVar[tuple[str, ...]] = ()
    """Names of the event types that `apply` is given."""
    inline: ClassVar[bool] = False
    """True: the append's transaction makes the rows. False: `run_projections`, a moment later."""
    on_error: ClassVar[Literal["stop", "park"]] = "stop"
    """If an event cannot be applied: "stop" at it, or "park" it and continue."""
    takes_erased: ClassVar[bool] = False
    """Whether `apply` is also given events whose payload is erased (`event.data` is None)."""
    model: ClassVar[type[Model] | None] = None
    """The model of the rows; turnlog resets and checks them through it."""
    conversation_field: ClassVar[str] = "conversation_id"
    """The field of `model` that holds the conversation's primary key."""
    insert: ClassVar[str] = ""
    """SQL that replaces `apply`: `INSERT INTO ... SELECT ... FROM {events} e ...`, where {events}
    stands for a relation that has the columns of turnlog_event."""

    def apply(self, events: Sequence[Event]) -> None:
        """Write the rows that follow from some events; each event is given exactly once.

        The events of one conversation come in order, and none of a handled type is missing. Do not
        rely on an order between the events of different conversations.
        """
        if not self.insert:
            raise NotImplementedError
        places = ", ".join(f"({event.stream_id}, {event.version})" for event in events)
        batch = f"(SELECT * FROM turnlog_event WHERE (stream_id, version) IN (VALUES {places}))"
        self.execute(dialect_of(connections[log_database()]).projected(self.insert, batch))

    def reset(self, streams: Sequence[int]) -> None:
        """Delete all rows of these conversations."""
        if self.model is None:
            raise NotImplementedError
        self.of_streams(streams).delete()

    def erase(self, events: Sequence[Event]) -> None:
        """Remove what the rows hold of these events, whose payloads are gone from the log.

        Every projection defines this. A projection that keeps sums sets
        `erase = Projection.apply_again`.
        """
        raise NotImplementedError

    def erase_rows(self, events: Sequence[Event]) -> None:
        """An `erase` for rows that belong to one event each: deletes the rows of these events.

        The model must have a field `version`.
        """
        by_stream: dict[int, list[int]] = {}
        for event in events:
            by_stream.setdefault(event.stream_id, []).append(event.version)
        for stream, versions in by_stream.items():
            for start in range(0, len(versions), _VERSIONS):
                some = versions[start : start + _VERSIONS]
                rows = self.of_streams([stream]).filter(version__in=some)
                rows.delete()
                if left := rows.count():
                    # The caller erases nothing then.
                    what = f"expected no rows of erased events, found {left}"
                    raise NotStored(rows.model._meta.db_table, what)

    def apply_again(self, events: Sequence[Event]) -> None:
        """An `erase` that rebuilds the conversations' rows, without what is erased.

        In a large erasure, which has many parts, it does so once, after the last one.
        """
        if (later := hooks.later.get()) is not None:
            later.add(self.name)
            return
        rebuild_rows(self, sorted({event.stream_id for event in events}), checkpoint_of(self))

    def after_erasure(self) -> None:
        """Called after the last part of a large erasure, in a transaction. By default, nothing."""

    def forget_user(self, user: Any) -> None:
        """Remove a user from the rows: their foreign keys to the user model become null.

        Override this if rows name people in another way, or if the foreign key cannot be null.
        """
        fields = self.model._meta.concrete_fields if self.model else ()
        for field in fields:
            related = field.related_model
            if isinstance(related, type) and isinstance(user, related):
                rows = field.model._default_manager.using(log_database())
                theirs = rows.filter(**{field.name: user.pk})
                theirs.update(**{field.name: None})
                if theirs.exists():
                    what = "expected no row of the forgotten user, found one"
                    raise NotStored(field.model._meta.db_table, what)

    def of_streams(self, streams: Sequence[int]) -> Any:
        """Return a query set of the rows of these conversations."""
        if self.model is None:
            raise NotImplementedError
        # Not by the model's manager, which may hide rows.
        rows: QuerySet[Any] = QuerySet(self.model, using=log_database())
        return rows.filter(**{f"{self.conversation_field}__in": streams})

    def add(self, rows: Sequence[Model]) -> None:
        """Insert new rows of one model, much faster than bulk_create; see `bulk_insert`."""
        insert(rows)

    def add_values(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert new rows of `model` from values of these fields, faster still."""
        if self.model is None:
            raise NotImplementedError
        insert_values(self.model, names, rows)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run a statement on the log's database; return the cursor."""
        connection = connections[log_database()]
        with dialect_of(connection).cursor(connection) as cursor:
            cursor.execute(sql, parameters)
            return cursor
