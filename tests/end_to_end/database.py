"""Databases of their own for the tutorial's project: made from a template, dropped afterwards."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql


class Database(Protocol):
    """One database of the tutorial's project."""

    environment: dict[str, str]
    """By which the tutorial's settings choose it."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query gives, or [] for a statement; committed."""

    def copy(self, name: str) -> Database:
        """Another one with the same content. Nobody may be connected to this one."""

    def drop(self) -> None: ...


class Sqlite:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.environment = {"SQLITE_PATH": str(path)}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=20)) as connection, connection:
            return connection.execute(query).fetchall()

    def copy(self, name: str) -> Sqlite:
        path = self._path.with_name(f"{name}.sqlite3")
        with (
            contextlib.closing(sqlite3.connect(self._path)) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
        return Sqlite(path)

    def drop(self) -> None:
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()


class Postgresql:
    def __init__(self, name: str, user: str, host: str, template: str = "template1") -> None:
        self._name, self._user, self._host = name, user, host
        self.environment = {"PGDATABASE": name, "PGUSER": user, "PGHOST": host}
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._maintain(statement.format(sql.Identifier(name), sql.Identifier(template)))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._connect(self._name) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def copy(self, name: str) -> Postgresql:
        return Postgresql(f"{self._name}_{name}", self._user, self._host, template=self._name)

    def drop(self) -> None:
        statement = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        self._maintain(statement.format(sql.Identifier(self._name)))

    def _maintain(self, statement: sql.Composed) -> None:
        with self._connect("postgres", autocommit=True) as connection:
            connection.execute(statement)

    def _connect(self, name: str, **options: Any) -> psycopg.Connection:
        return psycopg.connect(dbname=name, user=self._user, host=self._host, **options)


@dataclass(frozen=True)
class Event:
    """A row of the log, as another program reads it: by SQL."""

    version: int
    type: str
    turn_id: str | None
    recorded_at: dt.datetime
    payload: Any
    metadata: Any

    @property
    def text(self) -> str:
        """The words of a message's event."""
        message = self.payload.get("message", self.payload)
        words: str = message["_value"]["content"]
        return words

    @property
    def produced(self) -> str:
        """The words that a failed turn had come to, empty for none."""
        message = self.payload["produced"]["message"]
        words: str = message["_value"]["content"] if message else ""
        return words


def events_of(database: Database, conversation: int, turn_id: str | None = None) -> list[Event]:
    """The events of a conversation in order, of one turn or of all."""
    rows = database.rows(
        "SELECT version, type, turn_id, recorded_at, payload, metadata FROM turnlog_event"
        f" WHERE stream_id = {int(conversation)} ORDER BY version"
    )
    return [event for event in map(_event, rows) if turn_id in (None, event.turn_id)]


def types_of(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def _event(row: tuple[Any, ...]) -> Event:
    version, kind, turn_id, at, payload, metadata = row
    if isinstance(at, str):
        at = dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC)
    turn = None if turn_id is None else str(uuid.UUID(str(turn_id)))
    return Event(version, kind, turn, at, json.loads(payload), json.loads(metadata))


@contextlib.contextmanager
def dropped_afterwards(database: Database) -> Iterator[Database]:
    try:
        yield database
    finally:
        database.drop()
