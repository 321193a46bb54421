"""What is on turnlog's tables that is not turnlog's own, and may change or drop what is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.core import checks
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from ..tables.event import Event
from .append_only import trigger_names

# One row for each thing: what it is, its name, its table, and whether it only comes after a row is
# stored, and so cannot keep it from being stored. `current_setting` and roles: with another value
# than "origin", the session's triggers do not fire.
_POSTGRESQL = """
    WITH ours AS (
        SELECT c.oid, c.relname, c.relpersistence FROM pg_class c
        WHERE c.oid = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) name))
    SELECT 'trigger', t.tgname::text, o.relname::text, (t.tgtype & 66) = 0
    FROM pg_trigger t JOIN ours o ON o.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'rule', r.rulename::text, o.relname::text, false
    FROM pg_rewrite r JOIN ours o ON o.oid = r.ev_class
    UNION ALL
    SELECT 'row level security policy', p.polname::text, o.relname::text, false
    FROM pg_policy p JOIN ours o ON o.oid = p.polrelid
    UNION ALL
    SELECT 'row level security', current_user::text, o.relname::text, false
    FROM ours o WHERE row_security_active(o.oid)
    UNION ALL
    SELECT 'inheriting table', i.inhrelid::regclass::text, o.relname::text, false
    FROM pg_inherits i JOIN ours o ON o.oid = i.inhparent
    UNION ALL
    SELECT 'table that it inherits from', i.inhparent::regclass::text, o.relname::text, false
    FROM pg_inherits i JOIN ours o ON o.oid = i.inhrelid
    UNION ALL
    SELECT 'lack of durability', 'UNLOGGED', o.relname::text, false
    FROM ours o WHERE o.relpersistence <> 'p'
    UNION ALL
    SELECT 'session_replication_role', current_setting('session_replication_role'), '', false
    WHERE current_setting('session_replication_role') = 'replica'
    UNION ALL
    SELECT 'session_replication_role', coalesce(r.rolname::text, 'every role'), '', false
    FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
    WHERE 'session_replication_role=replica' = ANY (s.setconfig)
      AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_SQLITE = """
    SELECT 'trigger', name, lower(tbl_name), sql FROM sqlite_master
    WHERE type = 'trigger' AND lower(tbl_name) IN ({marks})
    UNION ALL
    SELECT 'temporary trigger', name, lower(tbl_name), sql FROM sqlite_temp_master
    WHERE type = 'trigger' AND lower(tbl_name) IN ({marks})
"""


class Foreign(NamedTuple):
    """A thing that is not turnlog's: what it is, its name, and the table that it is on."""

    what: str
    name: str
    table: str
    afterwards: bool
    """Whether it comes after a row is stored, and so cannot keep it from being stored."""

    def __str__(self) -> str:
        return f"{self.what} {self.name}" + (f" on {self.table}" if self.table else "")


def foreign(connection: BaseDatabaseWrapper, tables: Sequence[str]) -> list[Foreign]:
    """Return what is on these tables of turnlog's that is not turnlog's own."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL, [list(tables)])
        elif connection.vendor == "sqlite":
            marks = ", ".join(["%s"] * len(tables))
            cursor.execute(_SQLITE.format(marks=marks), [*tables, *tables])
        else:
            return []
        rows: list[Any] = cursor.fetchall()
    found = (Foreign(what, name, table, _is_after(how)) for what, name, table, how in rows)
    return sorted(each for each in found if not _is_ours(each, connection.vendor))


def _is_after(how: bool | str) -> bool:
    # SQLite has only the text of a trigger; a trigger that does not say when comes before.
    return how if isinstance(how, bool) else bool(_AFTER.search(how))


_AFTER = re.compile(
    r"\bTRIGGER\s+(IF\s+NOT\s+EXISTS\s+)?(\"[^\"]+\"|\[[^]]+\]|`[^`]+`|\S+)\s+AFTER\b",
    re.IGNORECASE,
)


def _is_ours(each: Foreign, vendor: str) -> bool:
    # By name and table: elsewhere, one of our names is not ours. `unguarded` compares the rest.
    of_table = each.name.startswith(f"{each.table}_")
    return each.what == "trigger" and of_table and each.name in trigger_names(vendor)


def log_tables() -> list[str]:
    """The tables that are the log, or that an append needs."""
    config = apps.get_app_config(Event._meta.app_label)
    return [model._meta.db_table for model in config.get_models()]


def check_foreign(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """turnlog.W006: something on turnlog's tables is not turnlog's own.

    On the tables of the read models, which can be made again, only what may drop an append's rows.
    """
    found: list[checks.CheckMessage] = []
    theirs = {model._meta.db_table for model in apps.get_models()}
    tables = sorted(table for table in theirs if table.startswith("turnlog_"))
    log = set(log_tables())
    for alias in databases or ():
        if not router.allow_migrate(alias, Event._meta.app_label):
            continue
        connection = connections[alias]
        if Event._meta.db_table not in connection.introspection.table_names():
            continue  # Not migrated yet.
        found += [
            checks.Warning(
                f"database {alias!r}: expected nothing but turnlog's own on its tables, found the"
                f" {each}",
                hint="Remove it: it may drop or change what turnlog writes, or hide what is there"
                " (append-only triggers do not fire in a session that replicates). If it is meant"
                " to be there, put turnlog.W006 into SILENCED_SYSTEM_CHECKS.",
                id="turnlog.W006",
            )
            for each in foreign(connection, tables)
            if each.table in log or not each.afterwards
        ]
    return found
