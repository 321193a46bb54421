"""The log's statements on SQLite."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from ..tables.columns import EVENT_COLUMNS, adapters, quoted
from ..tables.database import log_database
from ..tables.event import Event
from .confirmed import require_stored
from .kept import IN_SQLITE
from .statements import BATCH, PENDING, insert_events, split, standing, target, values


class SQLite:
    """One writer at a time: a transaction that has written holds all locks at once."""

    def cursor(self, connection: BaseDatabaseWrapper) -> Any:
        return connection.cursor()

    def read_standing(
        self, cursor: Any, stream_id: int, turn_id: uuid.UUID | None, *, join: bool
    ) -> Any:
        if join:
            _become_writer(cursor)
        asked = [] if turn_id is None else [stream_id, turn_id.hex] * 3
        cursor.execute(standing(turn_id is not None, "(SELECT 1) one"), [*asked, *[stream_id] * 6])
        version, hash_, recorded_at, *rest = cursor.fetchone()
        if recorded_at is not None:
            recorded_at = recorded_at.replace(tzinfo=dt.UTC)  # Django stores UTC, naive.
        return version, hash_, recorded_at, *rest

    def insert(self, cursor: Any, events: Sequence[Event], follow: Sequence[str]) -> None:
        cursor.execute(insert_events(len(events)), _parameters(events))
        require_stored("turnlog_event", len(events), cursor.rowcount)
        self._follow(cursor, events, follow)

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
        needed = [_HEAD_IS]
        parameters = [*_parameters(events), events[0].stream_id, head]
        if texts:
            marks = ", ".join(["%s"] * len(texts))
            needed.append(f"(SELECT count(*) FROM turnlog_content WHERE sha256 IN ({marks})) = %s")
            parameters += [*texts, len(texts)]
        if runner is not None:
            needed.append("EXISTS (SELECT 1 FROM turnlog_runner WHERE id = %s)")
            parameters.append(runner.hex)
        if actor is not None:
            needed.append("(SELECT id FROM turnlog_actor WHERE user_id = %s) = %s")
            user_id = actor[1].hex if isinstance(actor[1], uuid.UUID) else actor[1]
            parameters += [user_id, actor[0].hex]
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            # Write first: see `_become_writer`.
            cursor.execute(
                f"INSERT INTO turnlog_event ({quoted(EVENT_COLUMNS)})"
                f" SELECT * FROM ({values(len(events))}) WHERE {' AND '.join(needed)}",
                parameters,
            )
            if cursor.rowcount == 0:
                return False
            require_stored("turnlog_event", len(events), cursor.rowcount)
            self._follow(cursor, events, follow)
        return True

    def _follow(self, cursor: Any, events: Sequence[Event], follow: Sequence[str]) -> None:
        place = [events[0].stream_id, events[0].version, events[-1].version]
        cursor.execute(f"{PENDING} VALUES (%s, %s, %s)", place)
        require_stored("turnlog_pending", 1, cursor.rowcount)
        for statement in follow:
            _, wanted = split(statement)
            if wanted:
                count = f"SELECT count(*) FROM ({self.projected(wanted, BATCH)})"
                cursor.execute(count, place)
                [expected] = cursor.fetchone()
            cursor.execute(self.projected(statement, BATCH), place)
            if wanted:
                require_stored(target(statement), expected, cursor.rowcount)

    def projected(self, insert: str, events: str) -> str:
        # The writer is alone.
        sql = insert.format(events=events).replace(" FOR KEY SHARE", "")
        for there, here in IN_SQLITE.items():
            sql = sql.replace(there, here)
        return sql

    def events(
        self, connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any]
    ) -> list[Event]:
        return list(Event.objects.using(connection.alias).raw(sql, parameters))

    def times(self, name: str) -> tuple[Any, Callable[[Any], dt.datetime]]:
        return F(name), _as_it_is

    def lock_streams(
        self, cursor: Any, stream_ids: Sequence[int], *, give_way: bool = False
    ) -> None:
        _become_writer(cursor)

    def use_indexes(self, cursor: Any) -> None:
        pass  # Without ANALYZE, SQLite always uses indexes.

    def take_room(self, cursor: Any) -> None:
        pass  # SQLite sets this for a connection, not for a transaction.

    def check_foreign_keys(self, cursor: Any) -> None:
        pass  # SQLite could only check all rows; the commit checks these.

    def size(self, cursor: Any) -> int:
        cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return int(cursor.fetchone()[0])

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


def _as_it_is(moment: dt.datetime) -> dt.datetime:
    return moment


_HEAD_IS = """
    (SELECT hash FROM turnlog_event WHERE stream_id = %s ORDER BY version DESC LIMIT 1) = %s"""


def _parameters(events: Sequence[Event]) -> list[Any]:
    adapt = adapters(Event, EVENT_COLUMNS, connections[log_database()])
    return [
        prepare(getattr(event, name))
        for event in events
        for name, prepare in zip(EVENT_COLUMNS, adapt, strict=True)
    ]


def begin_writing() -> None:
    """Become the writer on SQLite. Call it in a transaction, before its first read."""
    connection = connections[log_database()]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            _become_writer(cursor)


def wait_for_writers(*, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Receiver of connection_created: on SQLite, wait longer than five seconds to write.

    SQLite's waiting is not fair: one of eight busy writers may wait that long. If the project sets
    `OPTIONS["timeout"]`, its value stays.
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
