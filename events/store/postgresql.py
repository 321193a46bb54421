"""The log's statements on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, F, Func

from ...core.hurry import LOCK_MILLISECONDS, is_hurried
from ..tables.columns import EVENT_COLUMNS
from ..tables.database import log_database
from ..tables.event import Event
from .confirmed import appending, confirming
from .hashing import moment_of
from .isolation import CURRENT, READ_COMMITTED, require_read_committed
from .statements import standing, values

# Keys of our advisory locks: this number, and a number of 32 bits that says which.
_STREAM_LOCKS = 0x7475726E
_SEQUENCER_LOCK = 0x7475726F
_PROJECTION_LOCKS = 0x74757270


class _Microseconds(Func):
    """A time as whole microseconds since the Unix epoch, exactly: it is computed as numeric."""

    template = "(extract(epoch FROM %(expressions)s) * 1000000)::bigint"
    output_field = BigIntegerField()


class PostgreSQL:
    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        # Behind a transaction pooler, prepared statements are not safe. With this setting a
        # project tells Django that it has one.
        pooler = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        if pooler or not _opens_as_django_does(connection.__class__):
            return connection.cursor()
        connection.ensure_connection()
        raw = _prepared_cursor()(connection.connection)
        # Django's own wrappers, so that errors are Django's and the SQL log shows everything.
        if connection.queries_logged:
            return connection.make_debug_cursor(raw)
        return connection.make_cursor(raw)

    def read_standing(
        self, cursor: Any, stream_id: int, turn_id: uuid.UUID | None, *, join: bool
    ) -> Any:
        # The shared lock keeps a rebuild of this stream out until the commit. Writers share it
        # and never wait for each other. It is volatile, so it runs before the rows beside it.
        lock = f"({_shared_lock(is_hurried())}) lock"
        cursor.execute(
            standing(turn_id is not None, lock if join else "(SELECT 1) one", CURRENT),
            [
                *([stream_id, turn_id] * 3 if turn_id is not None else ()),
                *[stream_id] * 3,
                *([_STREAM_LOCKS, stream_id] if join else ()),
                *[stream_id] * 3,
            ],
        )
        *row, level = cursor.fetchone()
        if join:
            require_read_committed(cursor.db.alias, level)
        return row

    def insert(self, cursor: Any, events: Sequence[Event], follow: Sequence[str]) -> None:
        with confirming(follow):
            cursor.execute(_insert(len(events), tuple(follow)), _parameters(events))

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
        first = events[0]
        parameters = [*_parameters(events), _STREAM_LOCKS, *[first.stream_id] * 2, head]
        if texts:
            parameters += [list(texts), len(texts)]
        if runner is not None:
            parameters.append(runner)
        if actor is not None:
            parameters += [actor[1], actor[0]]
        with confirming(follow), self.cursor(connection) as cursor:
            cursor.execute(
                _insert_after(
                    *(len(events), tuple(follow)),
                    *(bool(texts), runner is not None, actor is not None, is_hurried()),
                ),
                parameters,
            )
            return bool(cursor.fetchone()[0])

    def projected(self, insert: str, events: str) -> str:
        return insert.format(events=events)

    def events(
        self, connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]
    ) -> list[Event]:
        connection.cursor().close()  # As the project's engine opens it.
        loading, times = _loading_cursor()
        raw = loading(connection.connection)
        raw.adapters.register_loader("timestamptz", times)
        make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
        with make(raw) as cursor:
            cursor.execute(sql, parameters)
            names = [column.name for column in cursor.description]
            return [Event.of_row(connection.alias, names, row) for row in cursor.fetchall()]

    def times(self, name: str) -> tuple[Any, Callable[[Any], dt.datetime]]:
        # Django's loader of times takes as long as all other columns of an entry together.
        return _Microseconds(F(name)), moment_of

    def lock_streams(
        self, cursor: Any, stream_ids: Sequence[int], *, give_way: bool = False
    ) -> None:
        if give_way:
            # Shorter than deadlock_timeout (1 s unless set): where a writer holds one of these
            # streams and waits for another, PostgreSQL does not cancel the writer.
            cursor.execute("SET LOCAL lock_timeout = '300ms'")
        elif is_hurried():
            cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
        # In one order, so that two rebuilds of overlapping streams cannot deadlock.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, key) FROM"
            " (SELECT DISTINCT hashint8(id) AS key FROM unnest(%s::bigint[]) id ORDER BY 1) keys",
            [_STREAM_LOCKS, list(stream_ids)],
        )

    def use_indexes(self, cursor: Any) -> None:
        # Statistics lag behind: if a table was small a minute ago, the planner believes that
        # reading all of it for each chunk is cheap.
        cursor.execute("SET LOCAL enable_seqscan = off")

    def take_room(self, cursor: Any) -> None:
        # Commits reach the disk in their order: one that is lost in a crash takes those after it.
        cursor.execute("SET LOCAL synchronous_commit = off; SET LOCAL work_mem = '64MB'")

    def check_foreign_keys(self, cursor: Any) -> None:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")

    def size(self, cursor: Any) -> int:
        cursor.execute("SELECT pg_total_relation_size('turnlog_event'::regclass)")
        return int(cursor.fetchone()[0])

    def lock_sequencer(self, cursor: Any) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_SEQUENCER_LOCK])

    def lock_signer(self, cursor: Any) -> None:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 1)", [_SEQUENCER_LOCK])

    def lock_projection(self, cursor: Any, name: str, *, shared: bool = False) -> None:
        # An advisory lock, not the row's, because it is fair: a request for it alone comes before
        # later requests to share it.
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


def _opens_as_django_does(engine: type) -> bool:
    """Return whether an engine opens its cursors as Django's does.

    One of a project's own may choose a schema then: for each tenant, or for each request.
    """
    from django.db.backends.postgresql.base import DatabaseWrapper  # lazy: SQLite needs no psycopg

    ours = ("cursor", "_cursor", "create_cursor", "chunked_cursor")
    return all(getattr(engine, name) is getattr(DatabaseWrapper, name) for name in ours)


class _Sent(NamedTuple):
    query: bytes


@cache
def _prepared_cursor() -> Any:
    from psycopg import Cursor  # lazy: SQLite needs no psycopg

    class PreparedCursor(Cursor):
        """Binds and prepares on the server; Django's cursor sends text to be planned each time."""

        def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
            # Django turns preparing off for the whole connection; turn it on for this statement.
            before, self.connection.prepare_threshold = self.connection.prepare_threshold, 0
            try:
                return super().execute(query, params, **kwargs)
            finally:
                self.connection.prepare_threshold = before
                # Django's SQL log looks here, and psycopg 3.3 keeps nothing.
                sent: Any = _Sent(str(query).encode())
                self._query = sent

    return PreparedCursor


@cache
def _loading_cursor() -> Any:
    """A cursor of psycopg's own, and its loader of times: Django's takes longer than all else."""
    from psycopg import Cursor, adapters  # lazy: SQLite needs no psycopg
    from psycopg.pq import Format  # lazy: as above

    return Cursor, adapters.get_loader(adapters.types["timestamptz"].oid, Format.TEXT)


def _shared_lock(hurried: bool) -> str:
    """Return the SELECT that takes a stream's lock as one of its writers.

    In a hurry it sets how long to wait, until the transaction ends and in the same round trip. The
    subquery is volatile, so it runs first.
    """
    patience = f"(SELECT set_config('lock_timeout', '{LOCK_MILLISECONDS}', true)) patience"
    lock = "SELECT pg_advisory_xact_lock_shared(%s, hashint8(%s))"
    return f"{lock} FROM {patience}" if hurried else lock


def _parameters(events: Sequence[Event]) -> list[Any]:
    return [getattr(event, name) for event in events for name in EVENT_COLUMNS]


@cache
def _insert(count: int, follow: tuple[str, ...]) -> str:
    # One statement, one round trip.
    return appending(values(count, _casts()), follow)


# Like `_insert`, but a separate transaction. It inserts only if the stream's head has this hash and
# what the events refer to exists and stays until the commit. It takes the lock before the insert.
# The statement's snapshot is older than a lock that it waited for. If a writer was faster
# meanwhile, the version is taken and the insert fails.
_HEAD_IS = f"""
    ({{lock}}) IS NOT NULL
    AND {CURRENT} = '{READ_COMMITTED}'
    AND (SELECT hash FROM turnlog_event WHERE stream_id = %s ORDER BY version DESC LIMIT 1) = %s"""
_TEXTS_ARE_THERE = """
    (SELECT count(*) FROM (
        SELECT 1 FROM turnlog_content WHERE sha256 = ANY(%s) ORDER BY sha256 FOR KEY SHARE
    ) texts) = %s"""
_RUNNER_IS_THERE = "EXISTS (SELECT 1 FROM turnlog_runner WHERE id = %s)"

# A transaction that forgets the user waits for this one, or this one for it.
_ACTOR_IS_THEIRS = "(SELECT id FROM turnlog_actor WHERE user_id = %s FOR KEY SHARE) = %s"


@cache
def _insert_after(
    count: int, follow: tuple[str, ...], texts: bool, runner: bool, actor: bool, hurried: bool
) -> str:
    head = _HEAD_IS.format(lock=_shared_lock(hurried))
    needed = [head, *[_TEXTS_ARE_THERE] * texts, *[_RUNNER_IS_THERE] * runner]
    needed += [_ACTOR_IS_THEIRS] * actor
    rows = f"SELECT * FROM ({values(count, _casts())}) AS rows WHERE {' AND '.join(needed)}"
    return appending(rows, follow)


@cache
def _casts() -> tuple[str, ...]:
    connection = connections[log_database()]
    fields = {field.attname: field for field in Event._meta.concrete_fields}
    return tuple(str(fields[name].db_type(connection)) for name in EVENT_COLUMNS)
