"""What PostgreSQL and SQLite do differently, in one place."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from ..core.errors import ConfigurationError
from .models import Event

if TYPE_CHECKING:
    from django.db.models import Field

EVENT_COLUMNS = (
    "stream_id",
    "version",
    "type",
    "schema",
    "turn_id",
    "actor_id",
    "recorded_at",
    "payload",
    "metadata",
    "salt",
    "digest",
    "hash",
)

# Keys of our advisory locks: this number, and a number of 32 bits that says which.
_STREAM_LOCKS = 0x7475726E
_SEQUENCER_LOCK = 0x7475726F
_PROJECTION_LOCKS = 0x74757270

_TURN_STATE = """
    (SELECT type FROM turnlog_event WHERE stream_id = %s AND turn_id = %s
     ORDER BY version DESC LIMIT 1)"""
_HEAD = """
    SELECT version, hash, recorded_at FROM turnlog_event
    WHERE stream_id = %s ORDER BY version DESC LIMIT 1"""


class Dialect(Protocol):
    """The statements of an append and of the sequencer."""

    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        """A cursor for statements that run again and again."""

    def read_head(self, cursor: Any, stream_id: int, turn_id: uuid.UUID | None) -> Any:
        """Join the stream's writers; (version, hash, recorded_at, last type of the turn)."""

    def insert(self, cursor: Any, events: Sequence[Event], follow: Sequence[str]) -> None:
        """Insert a batch of one stream, the row that says it has no positions yet, and what the
        inline projections make of it (see `hooks.InlineProjection.insert`)."""

    def projected(self, insert: str, events: str) -> str:
        """The statement that such an `insert` is, of the events in a relation."""

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


class PostgreSQL:
    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        # Behind a transaction pooler, prepared statements are not safe; this is how a project
        # tells Django that it has one.
        if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            return connection.cursor()
        connection.ensure_connection()
        raw = _prepared_cursor()(connection.connection)
        # Django's own wrappers, so that errors are Django's and the SQL log shows everything.
        if connection.queries_logged:
            return connection.make_debug_cursor(raw)
        return connection.make_cursor(raw)

    def read_head(self, cursor: Any, stream_id: int, turn_id: uuid.UUID | None) -> Any:
        # The shared lock keeps a rebuild of this stream away until we commit; writers share it
        # and never wait for each other. Volatile, hence evaluated before the rows beside it.
        cursor.execute(
            "SELECT head.version, head.hash, head.recorded_at,"
            f" {_TURN_STATE if turn_id else 'NULL'}, lock.taken"
            " FROM (SELECT pg_advisory_xact_lock_shared(%s, hashint8(%s)) AS taken) lock"
            f" LEFT JOIN LATERAL ({_HEAD}) head ON true",
            [*((stream_id, turn_id) if turn_id else ()), _STREAM_LOCKS, stream_id, stream_id],
        )
        return cursor.fetchone()[:4]

    def insert(self, cursor: Any, events: Sequence[Event], follow: Sequence[str]) -> None:
        first, last = events[0], events[-1]
        parameters = [getattr(event, name) for event in events for name in EVENT_COLUMNS]
        cursor.execute(
            _insert_at_once(len(events), tuple(follow)),
            [*parameters, first.stream_id, first.version, last.version],
        )

    def projected(self, insert: str, events: str) -> str:
        return insert.format(events=events)

    def lock_streams(
        self, cursor: Any, stream_ids: Sequence[int], *, give_way: bool = False
    ) -> None:
        if give_way:
            # Shorter than deadlock_timeout (1 s unless set): where a writer holds one of these
            # streams and waits for another, it is not the writer that is given up.
            cursor.execute("SET LOCAL lock_timeout = '300ms'")
        # In one order, so that two rebuilds of overlapping streams cannot deadlock.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, key) FROM"
            " (SELECT DISTINCT hashint8(id) AS key FROM unnest(%s::bigint[]) id ORDER BY 1) keys",
            [_STREAM_LOCKS, list(stream_ids)],
        )

    def use_indexes(self, cursor: Any) -> None:
        # Statistics lag behind: those of a table that was small a minute ago make reading all of
        # it, for each chunk anew, look cheap to the planner.
        cursor.execute("SET LOCAL enable_seqscan = off")

    def take_room(self, cursor: Any) -> None:
        # Commits reach the disk in their order: one that is lost in a crash takes those after it.
        cursor.execute("SET LOCAL synchronous_commit = off; SET LOCAL work_mem = '64MB'")

    def check_foreign_keys(self, cursor: Any) -> None:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")

    def lock_sequencer(self, cursor: Any) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_SEQUENCER_LOCK])

    def lock_signer(self, cursor: Any) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 1)", [_SEQUENCER_LOCK])

    def lock_projection(self, cursor: Any, name: str, *, shared: bool = False) -> None:
        # Advisory, not the row's own lock: it is fair. Whoever queues for it alone comes before
        # those who want to share it later.
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        cursor.execute(f"SELECT {function}(%s, hashtext(%s))", [_PROJECTION_LOCKS, name])

    def try_lock_projection(self, cursor: Any, name: str) -> bool:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [_PROJECTION_LOCKS, name]
        )
        return bool(cursor.fetchone()[0])

    def queue_for_projection(self, cursor: Any, name: str) -> bool:
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        self.lock_projection(cursor, name)
        return True


class SQLite:
    """One writer at a time: whoever has written first in a transaction holds all locks at once."""

    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        return connection.cursor()

    def read_head(self, cursor: Any, stream_id: int, turn_id: uuid.UUID | None) -> Any:
        _become_writer(cursor)
        turn = turn_id.hex if turn_id else None
        cursor.execute(
            f"SELECT head.version, head.hash, head.recorded_at, {_TURN_STATE}"
            f" FROM (SELECT 1) LEFT JOIN ({_HEAD}) head ON true",
            [stream_id, turn, stream_id],
        )
        version, hash_, recorded_at, state = cursor.fetchone()
        if recorded_at is not None:
            recorded_at = recorded_at.replace(tzinfo=dt.UTC)  # Django stores UTC, naive.
        return version, hash_, recorded_at, state

    def insert(self, cursor: Any, events: Sequence[Event], follow: Sequence[str]) -> None:
        # The fields know how SQLite stores a datetime and a UUID; the raw driver does not.
        adapters = [
            (name, cast("Field[Any, Any]", Event._meta.get_field(name)).get_db_prep_value)
            for name in EVENT_COLUMNS
        ]
        connection = cursor.db
        cursor.execute(
            _insert_events(len(events)),
            [
                adapt(getattr(event, name), connection)
                for event in events
                for name, adapt in adapters
            ],
        )
        cursor.execute(
            "INSERT INTO turnlog_pending (stream_id, first, last) VALUES (%s, %s, %s)",
            place := [events[0].stream_id, events[0].version, events[-1].version],
        )
        for statement in follow:
            cursor.execute(self.projected(statement, _BATCH), place)

    def projected(self, insert: str, events: str) -> str:
        # Whoever writes is alone.
        return insert.format(events=events).replace(" FOR KEY SHARE", "")

    def lock_streams(
        self, cursor: Any, stream_ids: Sequence[int], *, give_way: bool = False
    ) -> None:
        _become_writer(cursor)

    def use_indexes(self, cursor: Any) -> None:
        pass  # It knows no other way without ANALYZE.

    def take_room(self, cursor: Any) -> None:
        pass  # It is for each connection to say, not for each transaction.

    def check_foreign_keys(self, cursor: Any) -> None:
        pass  # It could only check every row there is; the commit checks these.

    def lock_sequencer(self, cursor: Any) -> None:
        _become_writer(cursor)

    def lock_signer(self, cursor: Any) -> None:
        _become_writer(cursor)

    def lock_projection(self, cursor: Any, name: str, *, shared: bool = False) -> None:
        _become_writer(cursor)

    def try_lock_projection(self, cursor: Any, name: str) -> bool:
        _become_writer(cursor)
        return True

    queue_for_projection = try_lock_projection


def begin_writing() -> None:
    """In a transaction of somebody's, before anything is read in it: be the writer on SQLite."""
    connection = connections[log_database()]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            _become_writer(cursor)


def wait_for_writers(*, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Receiver of connection_created: on SQLite, wait longer than five seconds for one's turn.

    SQLite's waiting is not fair: of eight busy writers one may be passed by for that long. A
    project that says how long (`OPTIONS["timeout"]`) knows better.
    """
    if connection.vendor != "sqlite" or connection.alias != log_database():
        return
    if "timeout" not in (connection.settings_dict.get("OPTIONS") or {}):
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")


_PATIENCE_MS = 60_000


def _become_writer(cursor: Any) -> None:
    # A transaction that reads first and writes later is refused ("database is locked") when
    # another has written in between, and no timeout helps. A write that touches no row, first,
    # waits its turn instead.
    cursor.execute("DELETE FROM turnlog_pending WHERE 0")


@cache
def _prepared_cursor() -> Any:
    from psycopg import Cursor

    class PreparedCursor(Cursor):
        """Binds and prepares on the server, where Django's cursor sends text to be planned anew."""

        def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
            # Django switches preparing off for the whole connection; on for this statement.
            before, self.connection.prepare_threshold = self.connection.prepare_threshold, 0
            try:
                return super().execute(query, params, **kwargs)
            finally:
                self.connection.prepare_threshold = before

    return PreparedCursor


@cache
def _insert_events(count: int) -> str:
    row = "(" + ", ".join(["%s"] * len(EVENT_COLUMNS)) + ")"
    columns = ", ".join(f'"{name}"' for name in EVENT_COLUMNS)
    return f"INSERT INTO turnlog_event ({columns}) VALUES " + ", ".join([row] * count)


_BATCH = "(SELECT * FROM turnlog_event WHERE stream_id = %s AND version BETWEEN %s AND %s)"


@cache
def _insert_at_once(count: int, follow: tuple[str, ...]) -> str:
    # One statement, one round trip.
    steps = [f"batch AS ({_insert_events(count)} RETURNING *)"]
    steps += [f"follow{n} AS ({sql.format(events='batch')})" for n, sql in enumerate(follow)]
    return (
        f"WITH {', '.join(steps)}"
        " INSERT INTO turnlog_pending (stream_id, first, last) VALUES (%s, %s, %s)"
    )


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


# Of PostgreSQL's SQLSTATE: connection, resources, locks and rollbacks, the operator's hand. Of
# SQLite's codes: busy, locked, out of memory, interrupted, input/output, full, cannot open.
_PASSING_STATES = ("08", "40", "53", "55006", "55P03", "57P", "58")
_PASSING_CODES = {5, 6, 7, 9, 10, 13, 14}


def is_passing(error: Exception) -> bool:
    """Whether a database error may well be over the next time: it is not about what was asked."""
    cause = error.__cause__
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _PASSING_CODES
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(_PASSING_STATES)


def is_lock_timeout(error: Exception) -> bool:
    """Whether a lock was not to be had in time (PostgreSQL, SQLSTATE 55P03)."""
    return getattr(error.__cause__, "sqlstate", None) == "55P03"


def log_database() -> str:
    """The alias of the one database that holds the log."""
    return router.db_for_write(Event)
