"""What an append stores of a fact: its payload without large strings, and these as blobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from django.db import connections

from ..core import codec, conf, retrying
from ..core.codec.blobs import blobs_in
from ..core.codec.cutting import cut_document
from ..core.errors import NotStored
from .store import blob_files
from .store.confirmed import require_stored
from .store.dialect import dialect_of
from .tables.blob import Blob
from .tables.content import locked
from .tables.database import log_database
from .tables.event import Event
from .types import EventData


class Payload(NamedTuple):
    """A payload's text as it is stored, and the blobs that it refers to, by their digests; None for
    one that is stored already."""

    text: str
    blobs: Mapping[str, bytes | None]


def payload_of(data: EventData) -> Payload:
    """Return what is stored of a fact. Raises CodecError if it has a node of its own making."""
    if data.is_copy:
        text = codec.to_json(data.payload())
        return Payload(text, {blob.sha256: None for blob in blobs_in(text)})
    return Payload(*cut_document(data.payload(), conf.get().blob_threshold))


class Payloads:
    """The payloads of one append: each is made once, however often the append is tried."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[EventData, Payload]] = {}
        self._files: dict[str, str] = {}

    def of(self, facts: Iterable[EventData]) -> list[Payload]:
        return [self._of(data) for data in facts]

    def _of(self, data: EventData) -> Payload:
        # By identity: what is equal need not be written in the same way (1 and 1.0).
        if id(data) not in self._made:
            self._made[id(data)] = data, payload_of(data)
        return self._made[id(data)][1]

    def write_files(self, payloads: Iterable[Payload]) -> None:
        """Write new blobs into the storage, if there is one: before any lock is taken, and before
        the commit. Raises BlobFileError."""
        blobs = _all(payloads)
        if blobs and blob_files.is_used():
            rows = Blob.objects.using(log_database()).filter(pk__in=blobs)
            for digest in blobs.keys() - self._files.keys() - {*rows.values_list("pk", flat=True)}:
                self._write_file(digest, blobs[digest])

    def keep(self, events: Sequence[Event], payloads: Sequence[Payload]) -> None:
        """Store the blobs that are not there yet, and who refers to them. Keeps all of them until
        the transaction ends. Raises NotStored, BlobFileError."""
        blobs = _all(payloads)
        if not blobs:
            return
        rows = Blob.objects.using(log_database())
        for _ in range(retrying.VANISHED_TEXTS):
            missing = sorted(blobs.keys() - locked(rows, blobs))
            if not missing:
                break
            for digest in missing:
                self._insert(digest, blobs[digest])
        else:
            if left := blobs.keys() - locked(rows, blobs):
                raise NotStored("turnlog_blob", f"expected the blob {min(left)}, found none")
        for name in self._files.values():
            blob_files.delete(name)  # Another transaction has stored the same bytes.
        _insert_uses(events, payloads)

    def _insert(self, digest: str, data: bytes | None) -> None:
        if data is None:
            what = f"expected the blob {digest} of the event that is copied, found none"
            raise NotStored("turnlog_blob", f"{what}; run verify_log")
        if blob_files.is_used() and digest not in self._files:
            self._write_file(digest, data)
        file = self._files.pop(digest, "")
        connection = connections[log_database()]
        with dialect_of(connection).cursor(connection) as cursor:
            # A conflict means that another transaction is storing the same bytes.
            cursor.execute(
                "INSERT INTO turnlog_blob (sha256, size, data, file) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                [digest, len(data), None if file else data, file],
            )
            if file and cursor.rowcount == 0:
                self._files[digest] = file

    def _write_file(self, digest: str, data: bytes | None) -> None:
        if data is not None:
            self._files[digest] = blob_files.write(data)


def _all(payloads: Iterable[Payload]) -> dict[str, bytes | None]:
    return {digest: data for payload in payloads for digest, data in payload.blobs.items()}


def _insert_uses(events: Sequence[Event], payloads: Sequence[Payload]) -> None:
    uses = list(_uses(events, payloads))
    marks = ", ".join(["(%s, %s, %s)"] * len(uses))
    with connections[log_database()].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO turnlog_blob_use (sha256, stream_id, version) VALUES {marks}",
            [value for use in uses for value in use],
        )
        require_stored("turnlog_blob_use", len(uses), cursor.rowcount)


def _uses(events: Sequence[Event], payloads: Sequence[Payload]) -> Iterator[tuple[str, int, int]]:
    for event, payload in zip(events, payloads, strict=True):
        for digest in payload.blobs:
            yield digest, event.stream_id, event.version
