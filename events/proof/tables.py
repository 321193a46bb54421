"""Reads what is stored beside the events: positions, pending appends, checkpoints, tiles, texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.db import connections

from ...core.errors import LogDamaged
from ..tables.database import log_database
from .raw import read, read_many, stored

_HASHES = """
    SELECT {position}, {stream_id}, {version}, {hash} FROM turnlog_position p
    LEFT JOIN turnlog_event e ON e.stream_id = p.stream_id AND e.version = p.version
    {where} ORDER BY p.position
"""
# The number of events and of positions, the first and last position, and how many events have none.
_COUNTS = """
    SELECT (SELECT count(*) FROM turnlog_event), (SELECT count(*) FROM turnlog_position),
        (SELECT {n} FROM (SELECT min(position) AS n FROM turnlog_position) one),
        (SELECT {n} FROM (SELECT max(position) AS n FROM turnlog_position) one),
        (SELECT coalesce(sum(CAST(last AS bigint) - first + 1), 0) FROM turnlog_pending)
"""
# On PostgreSQL, any quoted digest in the payload counts, because its JSON functions refuse values
# that other payloads may hold. The payload is split at the quotes: a regular expression over all of
# it took most of verify_log's time.
_WITHOUT_TEXT = {
    "postgresql": """
        SELECT p.position, e.stream_id, e.version, e.payload, t.digest FROM turnlog_event e
        LEFT JOIN turnlog_position p ON p.stream_id = e.stream_id AND p.version = e.version,
        LATERAL (SELECT DISTINCT piece AS digest FROM string_to_table(e.payload, '"') AS piece
            WHERE octet_length(piece) = 64 AND piece ~ '^[0-9a-f]*$') t
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
    """Yield (position, stream_id, version, the event's hash or None), in order of position: for all
    positions, those after `after`, or those of `where`, turnlog's own SQL over `turnlog_position
    p`."""
    if after is not None:
        where = f"WHERE p.position > {int(after)}"
    return read_many(_hashes(where))


def leaves(after: int, until: int) -> list[tuple[Any, Any]]:
    """(position, the event's hash or None) for each position after `after` up to `until`."""
    where = f"WHERE p.position > {int(after)} AND p.position <= {int(until)}"
    return [(position, hash_) for position, _, _, hash_ in read(_hashes(where))]


def _hashes(where: str) -> str:
    columns = {
        name: stored(f"p.{name}", "integer") for name in ("position", "stream_id", "version")
    }
    return _HASHES.format(**columns, hash=stored("e.hash", "blob"), where=where)


def counts() -> tuple[Any, ...]:
    """The number of events and of positions, the first and last position, and the number of events
    that wait for one."""
    found: tuple[Any, ...] = next(read(_COUNTS.replace("{n}", stored("n", "integer"))))
    return found


def pending(where: str = "") -> Iterator[tuple[Any, Any, Any]]:
    """Yield (stream_id, first, last) for each append without positions, in order; `where` is
    turnlog's own SQL over `turnlog_pending e`."""
    columns = ", ".join(stored(f"e.{name}", "integer") for name in ("stream_id", "first", "last"))
    return read_many(
        f"SELECT {columns} FROM turnlog_pending e {where} ORDER BY e.stream_id, e.first"
    )


def last_position() -> int:
    """The last position; 0 if there is none. Raises LogDamaged if it is not a number."""
    greatest = "SELECT max(position) AS n FROM turnlog_position"
    [(last,)] = read(f"SELECT {stored('n', 'integer')} FROM ({greatest}) one")
    if last is not None and type(last) is not int:
        raise LogDamaged(
            "expected whole numbers in turnlog_position, found something else; run `manage.py"
            " verify_log` for details"
        )
    return last or 0


def checkpoints() -> Iterator[tuple[Any, Any, str]]:
    """Yield (id, size, note) for each signed checkpoint, in the order of signing."""
    return _checkpoints("ORDER BY id")


def last_checkpoint() -> tuple[Any, Any, str] | None:
    """The checkpoint with the largest size. Ids do not decide: two processes may sign at once."""
    order = "ORDER BY turnlog_signed_checkpoint.size DESC, id DESC LIMIT 1"
    return next(_checkpoints(order), None)


def _checkpoints(order: str) -> Iterator[tuple[Any, Any, str]]:
    columns = f"id, {stored('size', 'integer')}, {stored('note', 'text')}"
    for pk, size, note in list(read(f"SELECT {columns} FROM turnlog_signed_checkpoint {order}")):
        # A note that is not UTF-8 fails later, when it is opened.
        yield pk, size, note.decode(errors="replace") if type(note) is bytes else note


def tiles(
    level: int, first: int = 0, last: int | None = None
) -> Iterator[tuple[Any, bytes, bytes]]:
    """Yield (number, hashes, root) for a level's stored tiles from `first` to `last`, in order. A
    value that is not bytes is yielded as empty."""
    columns = stored("t.number", "integer"), stored("t.hashes", "blob"), stored("t.root", "blob")
    where = f"t.level = {int(level)}"
    if last is not None:
        where += f" AND t.number BETWEEN {int(first)} AND {int(last)}"
    sql = f"SELECT {', '.join(columns)} FROM turnlog_tile t WHERE {where} ORDER BY t.number"
    for number, *values in (read_many if last is None else read)(sql):
        yield number, *(b"" if isinstance(value, str) else bytes(value) for value in values)


def last_tile(level: int) -> Any:
    """The highest number of a level's stored tiles; None if there are none."""
    last = f"SELECT max(number) AS n FROM turnlog_tile WHERE level = {int(level)}"
    [(number,)] = read(f"SELECT {stored('n', 'integer')} FROM ({last}) one")
    return number


def tile_levels() -> Iterator[tuple[Any, Any]]:
    """Yield (level, the highest number of its tiles) for each level."""
    return read(
        f"SELECT {stored('t.level', 'integer')}, {stored('t.last', 'integer')}"
        " FROM (SELECT level, max(number) AS last FROM turnlog_tile GROUP BY level) t"
        " ORDER BY t.level"
    )


def texts(digests: Collection[str] | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Yield (SHA-256 in hex, text) for the texts that turns refer to, all or those with `digests`.
    A value that is not text is yielded as empty."""
    columns = f"{stored('sha256', 'text')}, {stored('text', 'text')}"
    where = ""
    if digests is not None:
        # The caller has checked that these are hex digits and nothing else.
        where = f"WHERE turnlog_content.sha256 IN ({', '.join(map(repr, sorted(digests)))})"
    sql = f"SELECT {columns} FROM turnlog_content {where} ORDER BY turnlog_content.sha256"
    for row in read_many(sql):
        digest, text = (value if type(value) is bytes else b"" for value in row)
        yield digest, text


def streams_without_row() -> Iterator[tuple[Any]]:
    """Yield (stream_id,) for each stream that has events, and no row in turnlog_conversation."""
    return read_many(
        f"SELECT {stored('e.stream_id', 'integer')} FROM turnlog_event e WHERE e.version = 1"
        " AND NOT EXISTS (SELECT 1 FROM turnlog_conversation c WHERE c.id = e.stream_id)"
        " ORDER BY e.stream_id"
    )


def turns_without_text() -> Iterator[tuple[Any, Any, Any, bytes, bytes]]:
    """Yield (position, stream_id, version, payload, digest) for each digest in a TurnStarted's
    payload that is not among `texts()`."""
    return read_many(_WITHOUT_TEXT[connections[log_database()].vendor])
