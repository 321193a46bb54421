"""Checks blobs: each event's are named in `turnlog_blob_use`, present and unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from ...core.errors import BlobFileError
from ..store import blob_files
from .lines import BLOB_MARK, blobs_named
from .problems import Problem
from .raw import read, read_many, stored
from .rows import Row

_USES = """
    SELECT {sha256} FROM turnlog_blob_use u
    WHERE u.stream_id = {stream_id} AND u.version = {version}
"""
_BLOB = """
    SELECT {size}, {data}, {file} FROM turnlog_blob b WHERE b.sha256 = '{digest}'
"""
_WITHOUT_PAYLOAD = """
    SELECT {sha256}, {stream_id}, {version} FROM turnlog_blob_use u
    LEFT JOIN turnlog_event e ON e.stream_id = u.stream_id AND e.version = u.version
    WHERE e.payload IS NULL OR e.payload NOT LIKE '%{"_type":"blob",%'
"""
_UNUSED = """
    SELECT {sha256} FROM turnlog_blob b
    WHERE NOT EXISTS (SELECT 1 FROM turnlog_blob_use u WHERE u.sha256 = b.sha256)
"""


class Blobs:
    """Checks the blobs of events, one event after another.

    Each blob is read once. What was found of it is remembered: a hundred bytes for each blob.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, str, str] | None] = {}

    def of(self, row: Row) -> Iterator[Problem]:
        """Yield the problems with the blobs of an event."""
        named = blobs_named(row.payload or b"")
        place = (row.position, row.stream_id, row.version)
        used = {_text(digest) for (digest,) in _uses_of(row.stream_id, row.version)}
        for digest in sorted(named - used):
            yield Problem(*place, "turnlog_blob_use", f"that of the blob {digest}", "none")
        for digest in sorted(used - named):
            yield _not_referring(place, digest)
        for digest in sorted(named):
            if digest not in self._found:
                self._found[digest] = _wrong(digest)
            if wrong := self._found[digest]:
                yield Problem(*place, *wrong)

    def rest(self) -> Iterator[Problem]:
        """Yield what no event refers to: words that an erasure should have taken away."""
        sql = _WITHOUT_PAYLOAD.replace("{sha256}", stored("u.sha256", "text"))
        for name in ("stream_id", "version"):
            sql = sql.replace(f"{{{name}}}", stored(f"u.{name}", "integer"))
        for digest, stream_id, version in read_many(sql):
            yield _not_referring((None, stream_id, version), _text(digest))
        for (digest,) in read_many(_UNUSED.replace("{sha256}", stored("b.sha256", "text"))):
            what = f"blob {_text(digest)}"
            yield Problem(None, None, None, what, "an event that refers to it", "none")


def has_blobs(payload: Any) -> bool:
    """Whether a stored payload names blobs. For nearly all of them, this is all that is asked."""
    return type(payload) is bytes and BLOB_MARK in payload


def bytes_of(digest: str) -> Iterator[bytes]:
    """Yield a blob's bytes. Raises BlobFileError if its file cannot be read, and KeyError if there
    is no such blob."""
    rows = list(_rows_of(digest))
    if not rows:
        raise KeyError(digest)
    [(_, data, file)] = rows
    if file:
        yield from blob_files.chunks(_text(file))
    elif data is not None and not isinstance(data, str):
        yield bytes(data)


def _wrong(digest: str) -> tuple[str, str, str] | None:
    """What is wrong with a blob, as the end of a Problem; None if nothing is."""
    what = f"blob {digest}"
    found, size = sha256(), 0
    try:
        for part in bytes_of(digest):
            found.update(part)
            size += len(part)
    except KeyError:
        return what, "one in turnlog_blob", "none"
    except BlobFileError as error:
        return what, "its file", str(error)
    if found.hexdigest() != digest:
        return what, "the bytes that have this SHA-256", f"{size} others"
    [(stated, _, _)] = _rows_of(digest)
    return None if stated == size else (what, f"a size of {size} bytes", str(stated))


def _uses_of(stream_id: int, version: int) -> Iterable[Any]:
    column = stored("u.sha256", "text")
    return read(_USES.format(sha256=column, stream_id=int(stream_id), version=int(version)))


def _rows_of(digest: str) -> Iterable[Any]:
    columns = {"size": stored("b.size", "integer"), "data": stored("b.data", "blob")}
    # The digest is hexadecimal: `blobs_named` has found it.
    return read(_BLOB.format(**columns, file=stored("b.file", "text"), digest=digest))


def _not_referring(place: tuple[Any, Any, Any], digest: str) -> Problem:
    return Problem(*place, "turnlog_blob_use", f"an event that refers to {digest}", "another one")


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
