"""More databases within a test: empty ones, and a router that sends the log to one of them."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from django.core.management import call_command
from django.db import connection, connections
from django.test import override_settings


class LogRouter:
    """Sends turnlog's apps to one alias and everything else to `default`, as the docs say."""

    alias = "log"
    apps = ("turnlog_events", "turnlog_projections", "tally")

    def _is_logs(self, app_label: str) -> bool:
        return app_label in self.apps

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return self.alias if self._is_logs(model._meta.app_label) else None

    db_for_write = db_for_read

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool | None:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == self.alias) == self._is_logs(app_label)


@contextmanager
def another_database(
    alias: str, folder: Path, vendor: str | None = None, *, like: str = ""
) -> Iterator[str]:
    """A new database under an alias, of SQLite or PostgreSQL: not migrated, or `like` another."""
    vendor = vendor or connection.vendor
    name = f"test_{alias}_{uuid.uuid4().hex[:10]}"
    settings = dict(connection.settings_dict)
    if vendor == "sqlite":
        if like:
            shutil.copy(like, folder / name)
        settings = {
            **settings,
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(folder / name),
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"},
        }
    else:
        _maintain(f"CREATE DATABASE {name}" + (f" TEMPLATE {like}" if like else ""))
        settings["NAME"] = name
    connections.settings[alias] = settings
    # Tests may only connect to the databases that exist when they begin.
    allowed = mock.patch.object(connections[alias], "ensure_connection", _ensure(alias))
    try:
        with allowed:
            yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]
        if vendor != "sqlite":
            _maintain(f"DROP DATABASE {name} WITH (FORCE)")


def _ensure(alias: str) -> Any:
    def ensure_connection() -> None:
        connection = connections[alias]
        if connection.connection is None:
            with connection.wrap_database_errors:
                connection.connect()

    return ensure_connection


def migrate(alias: str) -> None:
    call_command("migrate", database=alias, verbosity=0)


@contextmanager
def log_in(alias: str, *, everything: bool = False) -> Iterator[None]:
    """All that turnlog does uses this database; with `everything`, the users are there too."""

    class Router(LogRouter):
        def _is_logs(self, app_label: str) -> bool:
            return everything or super()._is_logs(app_label)

    router = Router()
    router.alias = alias
    with override_settings(DATABASE_ROUTERS=[router]):
        yield


def _maintain(statement: str) -> None:
    info = connection.settings_dict
    with psycopg.connect(
        dbname="postgres", user=info["USER"], host=info["HOST"], autocommit=True
    ) as other:
        other.execute(statement.encode())
