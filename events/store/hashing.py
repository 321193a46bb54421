"""The digest of a payload and the hash chain of a stream, byte by byte.

digest = SHA-256(salt + payload), payload as the stored UTF-8 bytes.
hash   = SHA-256 over, without separators and big-endian:

    17 bytes  the ASCII text "turnlog event v1\\n"
    32 bytes  the previous event's hash; for version 1, zeros
     8 bytes  stream_id, signed
     8 bytes  version, signed
     8 bytes  recorded_at, signed microseconds since 1970-01-01T00:00:00Z
     2 bytes  schema, signed
     1 + 16   turn_id: 1 and its bytes (RFC 9562), or 17 zeros
     1 + 16   actor_id: the same
    32 bytes  digest
     2 + n    type: its length and its UTF-8 bytes
     4 + n    metadata: its length and its stored UTF-8 bytes

The payload and its salt enter only through the digest, so the chain survives their erasure.
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from hashlib import sha256

GENESIS = bytes(32)
TAG = b"turnlog event v1\n"

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_FIXED = struct.Struct(">qqqh17s17s32sH")
_LENGTH = struct.Struct(">I")
_NO_UUID = bytes(17)
_PIECE = 1_000_000  # characters


def payload_digest(salt: bytes, payload: str) -> bytes:
    """Return the digest (32 bytes) of a salt of 32 bytes and the payload's stored text."""
    digest = sha256(salt)
    # Some at a time: no other thread of the process runs while a text is encoded.
    for at in range(0, len(payload), _PIECE):
        digest.update(payload[at : at + _PIECE].encode())
    return digest.digest()


def event_hash(
    previous: bytes,
    *,
    stream_id: int,
    version: int,
    type: str,
    schema: int,
    turn_id: uuid.UUID | None,
    actor_id: uuid.UUID | None,
    recorded_at: dt.datetime,
    metadata: str,
    digest: bytes,
) -> bytes:
    """Return the hash (32 bytes) of the previous hash and an event's fields, as laid out above."""
    return raw_event_hash(
        previous,
        stream_id,
        version,
        microseconds(recorded_at),
        schema,
        None if turn_id is None else turn_id.bytes,
        None if actor_id is None else actor_id.bytes,
        digest,
        type.encode(),
        metadata.encode(),
    )


def raw_event_hash(
    previous: bytes,
    stream_id: int,
    version: int,
    recorded_at: int,
    schema: int,
    turn_id: bytes | None,
    actor_id: bytes | None,
    digest: bytes,
    type_bytes: bytes,
    metadata: bytes,
) -> bytes:
    """Return the same hash, from values in the layout's form: microseconds, 16 bytes, UTF-8.

    Raises struct.error for a number that does not fit.
    """
    return sha256(
        b"".join(
            (
                TAG,
                previous,
                _FIXED.pack(
                    stream_id,
                    version,
                    recorded_at,
                    schema,
                    _NO_UUID if turn_id is None else b"\x01" + turn_id,
                    _NO_UUID if actor_id is None else b"\x01" + actor_id,
                    digest,
                    len(type_bytes),
                ),
                type_bytes,
                _LENGTH.pack(len(metadata)),
                metadata,
            )
        )
    ).digest()


def moment_of(microseconds: int) -> dt.datetime:
    """The time in UTC that is so many microseconds after the Unix epoch."""
    return _EPOCH + dt.timedelta(microseconds=microseconds)


def microseconds(moment: dt.datetime) -> int:
    """Return the whole microseconds since the Unix epoch, exactly."""
    return (moment - _EPOCH) // _MICROSECOND
