"""The index that makes `SearchEntry` searchable, by what the databases bring along themselves."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

# Characters and pairs of neighbours: pairs find Korean words, of which many have two syllables,
# and characters what is asked for by a single one. Without a loop and without substr(), which
# counts from the text's beginning each time. The high cost tells the planner that the index saves
# calling it for each row.
#
# In the collation "C": the order of an index must not change with the system's library.
#
# Without statistics: they would keep samples of what people said, beyond its erasure.
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
    """Create what is missing; the table itself must be there.

    Does nothing where SQLite comes without FTS5 or is older than its trigrams (3.34): searches
    then read every row.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Not left to the search_path of whoever writes to the index later.
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
                # Rows may have come and gone without it.
                cursor.execute(f"INSERT INTO {_FTS} ({_FTS}) VALUES ('rebuild')")


def has_index(connection: BaseDatabaseWrapper) -> bool:
    """Whether there is an index to ask; on SQLite there may be none."""
    if connection.vendor != "sqlite":
        return True
    with connection.cursor() as cursor:
        return _FTS in _names(cursor)


def forget_deleted(connection: BaseDatabaseWrapper) -> None:
    """Take out of the index's pages what was deleted from it, as far as SQL can.

    FTS5 only notes deletions, and keeps the words until it happens to merge the pages that they
    stand on. PostgreSQL keeps at most pairs of characters, until VACUUM.
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
