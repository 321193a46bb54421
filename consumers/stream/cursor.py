"""What a client has of a channel, as one number that means something to the server alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from django.conf import settings
from django.utils.crypto import salted_hmac

PROOF = 8
"""Bytes of an event's hash that a cursor carries."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to `number`, in a log whose event of that number has a hash that begins with
    `proof`.

    As a number of up to 39 digits it fits where django-eventstream has the id of an event. It is
    encrypted, because it moves on over events that its client must not count. A cursor is one block
    of AES, so ECB, which shows equal blocks, shows only that two cursors are equal.
    """

    number: int
    proof: bytes

    def __int__(self) -> int:
        if self == BEGINNING:
            return 0
        block = self.number.to_bytes(16 - PROOF) + self.proof
        return int.from_bytes(_cipher().encryptor().update(block))


BEGINNING = Cursor(0, bytes(PROOF))
"""Nothing yet. Its number is 0, so that a client can ask for everything."""


def cursor_at(number: int, hash_: bytes) -> Cursor:
    """Return the cursor of whoever has everything up to an event."""
    return Cursor(number, bytes(hash_[:PROOF]))


def cursor_of(id_: int) -> Cursor:
    """Return what an id stands for. One that was made elsewhere is of no event."""
    if not 0 < id_ < 2**128:
        return BEGINNING
    block = _cipher().decryptor().update(id_.to_bytes(16))
    return Cursor(int.from_bytes(block[:-PROOF]), block[-PROOF:])


def _cipher() -> Cipher[ECB]:
    return _cipher_of(settings.SECRET_KEY)


@functools.lru_cache(maxsize=2)
def _cipher_of(secret: str | bytes) -> Cipher[ECB]:
    key = salted_hmac("turnlog.stream.cursor", "", secret=secret, algorithm="sha256").digest()
    return Cipher(AES256(key), ECB())
