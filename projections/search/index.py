"""The index that makes `SearchEntry` searchable, with what the databases themselves offer."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

# The index holds characters and pairs of neighbours. Pairs find Korean words, many of which have
# two syllables; single characters serve searches for one character. The function uses no loop and
# no substr(), which counts from the text's beginning each time. Its high cost tells the planner
# that the index saves a call for each row.
#
# The collation is "C": the order of an index must not change with the system's library.
#
# Statistics are off: they would keep samples of what people said, even after an erasure.
_POSTGRESQL = (
    """
    CREATE OR REPLACE FUNCTION {schema}.turnlog_grams(words text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
        SELECT characters || ARRAY(
            SELECT one || next FROM unnest(characters, characters[2:]) AS pairs (one, next)
            WHERE next IS NOT NULL)
        FROM (SELECT string_to_array(words, NULL) AS characters) AS split
    $$
    """,
    """
    CREATE INDEX IF NOT EXISTS turnlog_search_grams ON {schema}.turnlog_search
    USING gin ({schema}.turnlog_grams(normalised COLLATE "C"))
    """,
    """
    ALTER TABLE {schema}.turnlog_search
    ALTER COLUMN text SET STATISTICS 0, ALTER COLUMN normalised SET STATISTICS 0
    """,
    "ALTER INDEX {schema}.turnlog_search_grams ALTER COLUMN 1 SET STATISTICS 0",
)

_FTS = "turnlog_search_fts"
_SQLITE = {
    _FTS: f"""
        CREATE VIRTUAL TABLE {_FTS} USING fts5 (
            normalised, content = 'turnlog_search', content_rowid = 'id',
            tokenize = 'trigram case_sensitive 1')
    """,
    f"{_FTS}_insert": f"""
        CREATE TRIGGER {_FTS}_insert AFTER INSERT ON turnlog_search BEGIN
            INSERT INTO {_FTS} (rowid, normalised) VALUES (NEW.id, NEW.normalised);
        END
    """,
    f"{_FTS}_delete": f"""
        CREATE TRIGGER {_FTS}_delete AFTER DELETE ON turnlog_search BEGIN
            INSERT INTO {_FTS} ({_FTS}, rowid, normalised)
            VALUES ('delete', OLD.id, OLD.normalised);
        END
    """,
    f"{_FTS}_update": f"""
        CREATE TRIGGER {_FTS}_update AFTER UPDATE OF id, normalised ON turnlog_search BEGIN
            INSERT INTO {_FTS} ({_FTS}, rowid, normalised)
            VALUES ('delete', OLD.id, OLD.normalised);
            INSERT INTO {_FTS} (rowid, normalised) VALUES (NEW.id, NEW.normalised);
        END
    """,
}


def install(connection: BaseDatabaseWrapper) -> None:
    """Create what is missing of the index; the table itself must exist.

    If SQLite lacks FTS5 or is older than its trigrams (3.34), this does nothing: searches then read
    every row.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Named explicitly: a later writer to the index may have another search_path.
            cursor.execute("SELECT quote_ident(current_schema())")
            schema = cursor.fetchone()[0]
            for statement in _POSTGRESQL:
                cursor.execute(statement.format(schema=schema))
        elif connection.vendor == "sqlite" and _has_trigrams(cursor):
            missing = set(_SQLITE) - _names(cursor)
            for name, statement in _SQLITE.items():
                if name in missing:
                    cursor.execute(statement)
            if missing:
                # Rows may have changed while the index or a trigger was missing.
                cursor.execute(f"INSERT INTO {_FTS} ({_FTS}) VALUES ('rebuild')")


def has_index(connection: BaseDatabaseWrapper) -> bool:
    """Return whether there is an index to search; on SQLite there may be none."""
    if connection.vendor != "sqlite":
        return True
    with connection.cursor() as cursor:
        return _FTS in _names(cursor)


def forget_deleted(connection: BaseDatabaseWrapper) -> None:
    """Remove deleted text from the index's pages, as far as SQL can.

    FTS5 only notes deletions: it keeps the words until it happens to merge the pages that contain
    them. PostgreSQL keeps at most pairs of characters, until VACUUM.
    """
    if connection.vendor == "sqlite" and has_index(connection):
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {_FTS} ({_FTS}) VALUES ('optimize')")


def _has_trigrams(cursor: Any) -> bool:
    if cursor.db.Database.sqlite_version_info < (3, 34):
        return False
    cursor.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'")
    return cursor.fetchone() is not None


def _names(cursor: Any) -> set[str]:
    cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE %s", [f"{_FTS}%"])
    return {name for (name,) in cursor.fetchall()}
