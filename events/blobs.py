"""Reads blobs: large strings of payloads, which are stored once by their SHA-256.

`core/codec/blobs.py` says what stands for one in a payload, and gets its bytes from `load`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from django.db.models import BinaryField
from django.db.models.functions import Substr

from ..core.errors import BlobFileError, CodecError
from ..core.media_types import media_type_of
from .store import blob_files
from .tables.blob import Blob, BlobUse
from .tables.database import log_database

_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob of an event: its size in bytes, and the media type that its first bytes show.

    The type is one of a few that browsers show without running anything in them (RFC 2046), and
    else `application/octet-stream`; what somebody claimed it to be plays no part.
    """

    sha256: str
    size: int
    media_type: str
    file: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, a megabyte at a time. Raises CodecError if they are gone."""
        try:
            if self.file:
                yield from blob_files.chunks(self.file)
                return
        except BlobFileError as error:
            raise CodecError(str(error)) from error
        for start in range(0, self.size, _AT_ONCE):
            yield _part(self.sha256, start, _AT_ONCE)


def blob_of(stream_id: int, version: int, digest: str) -> StoredBlob | None:
    """Return the blob with a SHA-256 (in hex) that an event refers to; None if it refers to none.

    A digest alone gives nobody anything: let only those read the blob who may read the event's
    conversation. Reading the bytes uses the database; neither belongs on the event loop. Raises
    CodecError if the bytes are gone.
    """
    uses = BlobUse.objects.using(log_database())
    found = uses.filter(stream_id=stream_id, version=version, blob=digest).select_related("blob")
    use = found.defer("blob__data").first()
    if use is None:
        return None
    return StoredBlob(digest, use.blob.size, media_type_of(load(digest, 16)), use.blob.file)


def load(digest: str, most: int | None = None) -> bytes:
    """Return a blob's bytes, or the first `most` of them. Raises CodecError if they are gone, or
    others than were stored."""
    row = Blob.objects.using(log_database()).filter(pk=digest).defer("data").first()
    if row is None:
        raise CodecError(
            f"expected the blob {digest} in turnlog_blob, found none; restore the table from a"
            " backup, and run verify_log"
        )
    try:
        if row.file:
            data = blob_files.read(row.file, most)
        else:
            data = bytes(row.data or b"") if most is None else _part(digest, 0, most)
    except BlobFileError as error:
        raise CodecError(f"expected the blob {digest}, found that {error}") from error
    if most is None and sha256(data).hexdigest() != digest:
        raise CodecError(
            f"expected the blob {digest}, found other bytes in its place; run verify_log"
        )
    return data


def _part(digest: str, start: int, most: int) -> bytes:
    part = Substr("data", start + 1, most, output_field=BinaryField())
    blobs = Blob.objects.using(log_database()).filter(pk=digest)
    data = blobs.values_list(part, flat=True).first()
    if data is None:
        raise CodecError(f"the blob {digest} has been erased meanwhile")
    return bytes(data)
