"""What stands beside the events: positions, pending appends, checkpoints, tiles, texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connections

from ..dialects import log_database
from .stored import read, read_many, stored

_HASHES = """
    SELECT {position}, {stream_id}, {version}, {hash} FROM turnlog_position p
    LEFT JOIN turnlog_event e ON e.stream_id = p.stream_id AND e.version = p.version
    {where} ORDER BY p.position
"""
# How many events there are, how many positions, and how many events wait for one.
_COUNTS = """
    SELECT (SELECT count(*) FROM turnlog_event), (SELECT count(*) FROM turnlog_position),
        (SELECT {n} FROM (SELECT min(position) AS n FROM turnlog_position) one),
        (SELECT {n} FROM (SELECT max(position) AS n FROM turnlog_position) one),
        (SELECT coalesce(sum(last - first + 1), 0) FROM turnlog_pending)
"""
# On PostgreSQL any quoted digest in the payload, for its JSON functions refuse what other payloads
# may hold.
_WITHOUT_TEXT = {
    "postgresql": """
        SELECT p.position, e.stream_id, e.version, e.payload, t.digest FROM turnlog_event e
        LEFT JOIN turnlog_position p ON p.stream_id = e.stream_id AND p.version = e.version,
        LATERAL (SELECT DISTINCT found[1] AS digest
            FROM regexp_matches(e.payload, '"([0-9a-f]{64})"', 'g') AS found) t
        WHERE e.type = 'TurnStarted'
        AND NOT EXISTS (SELECT 1 FROM turnlog_content c WHERE c.sha256 = t.digest)
    """,
    "sqlite": """
        SELECT +p.position, +e.stream_id, +e.version, CAST(e.payload AS BLOB),
            CAST(t.digest AS BLOB)
        FROM (
            SELECT s.stream_id, s.version, s.payload,
                json_extract(s.payload, '$.' || n.value) AS digest
            FROM turnlog_event s, json_each('["system_prompt", "tools"]') n
            WHERE s.type = 'TurnStarted'
            AND CASE typeof(s.payload) WHEN 'text' THEN json_valid(s.payload) ELSE 0 END
        ) t
        JOIN turnlog_event e ON e.stream_id = t.stream_id AND e.version = t.version
        LEFT JOIN turnlog_position p ON p.stream_id = e.stream_id AND p.version = e.version
        WHERE typeof(t.digest) = 'text'
        AND NOT EXISTS (SELECT 1 FROM turnlog_content c WHERE c.sha256 = t.digest)
    """,
}


def places(after: int | None = None, where: str = "") -> Iterator[tuple[Any, Any, Any, Any]]:
    """(position, stream_id, version, the event's hash or None) of positions, in their order: of
    all, of those above one, or of those that SQL of ours says over `turnlog_position p`."""
    if after is not None:
        where = f"WHERE p.position > {int(after)}"
    return read_many(_hashes(where))


def leaves(after: int, until: int) -> list[tuple[Any, Any]]:
    """(position, the event's hash or None) of the positions after one up to another."""
    where = f"WHERE p.position > {int(after)} AND p.position <= {int(until)}"
    return [(position, hash_) for position, _, _, hash_ in read(_hashes(where))]


def _hashes(where: str) -> str:
    columns = {
        name: stored(f"p.{name}", "integer") for name in ("position", "stream_id", "version")
    }
    return _HASHES.format(**columns, hash=stored("e.hash", "blob"), where=where)


def counts() -> tuple[Any, ...]:
    """Events, positions, the least and the greatest position, and events that wait for one."""
    found: tuple[Any, ...] = next(read(_COUNTS.replace("{n}", stored("n", "integer"))))
    return found


def pending(where: str = "") -> Iterator[tuple[Any, Any, Any]]:
    """(stream_id, first, last) of the appends without positions, in order; `where` is SQL of ours
    over `turnlog_pending e`."""
    columns = ", ".join(stored(f"e.{name}", "integer") for name in ("stream_id", "first", "last"))
    return read_many(
        f"SELECT {columns} FROM turnlog_pending e {where} ORDER BY e.stream_id, e.first"
    )


def checkpoints() -> Iterator[tuple[Any, Any, str]]:
    """(id, size, note) of all signed checkpoints, in the order in which they were signed."""
    columns = f"id, {stored('size', 'integer')}, {stored('note', 'text')}"
    for pk, size, note in read(f"SELECT {columns} FROM turnlog_signed_checkpoint ORDER BY id"):
        # What is no text is no checkpoint either.
        yield pk, size, note.decode(errors="replace") if type(note) is bytes else note


def tiles(
    level: int, first: int = 0, last: int | None = None
) -> Iterator[tuple[Any, bytes, bytes]]:
    """(number, hashes, root) of a level's stored tiles from one to another, in order; empty for
    what is no bytes."""
    columns = stored("t.number", "integer"), stored("t.hashes", "blob"), stored("t.root", "blob")
    where = f"t.level = {int(level)}"
    if last is not None:
        where += f" AND t.number BETWEEN {int(first)} AND {int(last)}"
    sql = f"SELECT {', '.join(columns)} FROM turnlog_tile t WHERE {where} ORDER BY t.number"
    for number, *values in (read_many if last is None else read)(sql):
        yield number, *(b"" if isinstance(value, str) else bytes(value) for value in values)


def tile_levels() -> Iterator[tuple[Any, Any]]:
    """(level, the greatest number of a tile of it)."""
    return read(
        f"SELECT {stored('t.level', 'integer')}, {stored('t.last', 'integer')}"
        " FROM (SELECT level, max(number) AS last FROM turnlog_tile GROUP BY level) t"
        " ORDER BY t.level"
    )


def texts() -> Iterator[tuple[bytes, bytes]]:
    """(SHA-256 in hex, text) of what turns refer to by digest; empty for what is no text."""
    columns = f"{stored('sha256', 'text')}, {stored('text', 'text')}"
    for row in read_many(f"SELECT {columns} FROM turnlog_content ORDER BY turnlog_content.sha256"):
        digest, text = (value if type(value) is bytes else b"" for value in row)
        yield digest, text


def turns_without_text() -> Iterator[tuple[Any, Any, Any, bytes, bytes]]:
    """(position, stream_id, version, payload, digest) of each TurnStarted in whose payload stands a
    digest that is not among `texts()`."""
    return read_many(_WITHOUT_TEXT[connections[log_database()].vendor])
