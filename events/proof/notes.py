"""Signed checkpoints, as C2SP's signed-note and tlog-checkpoint (c2sp.org) write them.

A note's text ends with a line feed. After an empty line come its signatures, a line each:

    — NAME BASE64(first 4 bytes of the key's hash + signature)

A checkpoint's text has the log's origin, the size of the tree in decimal, and the root in base64,
a line each. A key's hash is SHA-256(NAME + line feed + 0x01 + public key); a public key is
written NAME+HASH+BASE64(0x01 + key), with the hash's first 4 bytes in hex. 0x01 stands for
Ed25519 (RFC 8032), the only kind here. Private keys are written as Go's sumdb/note does.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_SIGNATURE = "\u2014 "  # An em dash and a space.
MAX_LENGTH = 16_384
"""Characters that a note may have; ours have some 200."""


class NoteError(ValueError):
    """Text that is not what it should be: a key, or a checkpoint."""


class UnknownKey(NoteError):
    """A checkpoint that may well be right: who signed it is not known."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 key by which a log's checkpoints are checked; `key` is 32 bytes."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """4 bytes by which a signature says which key it is of."""
        return sha256(f"{self.name}\n".encode() + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.key)}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """A key from its text. Raises NoteError."""
        name, key = _parse_key(text, "public")
        found = cls(name, key)
        if str(found) != text:
            raise NoteError("expected a public key, found one whose hash is another key's")
        return found

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether a signature of 64 bytes is this key's, of this text."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key that signs a log's checkpoints; `seed`, 32 bytes, is secret."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def create(cls, name: str) -> SigningKey:
        """A new key. Raises NoteError for what cannot be a name."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(_checked_name(name), Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """A key from its secret text. Raises NoteError, which never shows any of it."""
        if not text.startswith(_PRIVATE):
            raise NoteError(f"expected a private key, which begins with {_PRIVATE}")
        key = cls(*_parse_key(text.removeprefix(_PRIVATE), "private"))
        if key.secret() != text:
            raise NoteError("expected a private key, found one whose hash is another key's")
        return key

    @property
    def public(self) -> PublicKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        return PublicKey(self.name, private.public_key().public_bytes_raw())

    def secret(self) -> str:
        """The key's text, as it is kept in a file."""
        return f"{_PRIVATE}{self.name}+{self.public.id.hex()}+{_base64(_ED25519 + self.seed)}"

    def sign(self, text: str) -> str:
        """A note: the text, which ends with a line feed, and its signature."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return f"{text}\n{_SIGNATURE}{self.name} {_base64(self.public.id + signature)}\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: the root over its first `size` events."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """A checkpoint from a note's text. Raises NoteError."""
        lines = text.split("\n")
        # Lines after the third are for extensions; turnlog writes none and ignores others'.
        if len(lines) < 4 or not lines[0] or lines[-1]:
            raise NoteError("expected a checkpoint's lines: origin, size, root")
        origin, size, root = lines[:3]
        if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size):
            raise NoteError(f"expected a checkpoint's size in decimal, found {size[:40]!r}")
        if int(size) >= 1 << 63:
            raise NoteError(f"expected a checkpoint's size of 63 bits, found {size}")
        found = cls(origin, int(size), _from_base64(root, "a checkpoint's root"))
        if len(found.root) != 32:
            raise NoteError(f"expected a root of 32 bytes, found {len(found.root)}")
        return found


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note taken apart: its text, and the signatures by key name and key id."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, note: str) -> SignedNote:
        """A note from all of it. Raises NoteError."""
        if len(note) > MAX_LENGTH:
            raise NoteError(f"expected a note of at most {MAX_LENGTH} characters")
        text, empty_line, signed = note.rpartition("\n\n")
        if not empty_line or not signed.endswith("\n"):
            raise NoteError("expected a signed note: text, an empty line, signatures")
        return cls(f"{text}\n", tuple(_signature(line) for line in signed[:-1].split("\n")))

    def signed_by(self, keys: Iterable[PublicKey]) -> PublicKey | None:
        """The first of some keys that has signed the text. Raises NoteError for a false signature.

        Signatures of keys that are not among these say nothing, neither good nor bad.
        """
        for key in keys:
            for name, key_id, signature in self.signatures:
                if (name, key_id) == (key.name, key.id):
                    if not key.has_signed(self.text, signature):
                        raise NoteError(f"expected a signature by {key}, found a false one")
                    return key
        return None


def open_checkpoint(note: str, keys: Iterable[PublicKey]) -> tuple[Checkpoint, PublicKey]:
    """The checkpoint of a note that one of these keys has signed, and that key.

    The key must be named like the log's origin. Raises NoteError.
    """
    signed = SignedNote.parse(note)
    checkpoint = Checkpoint.parse(signed.text)
    known = list(keys)
    key = signed.signed_by(key for key in known if key.name == checkpoint.origin)
    if key is None:
        names = ", ".join(f"{name}+{key_id.hex()}" for name, key_id, _ in signed.signatures)
        have = ", ".join(f"{key.name}+{key.id.hex()}" for key in known) or "none"
        raise UnknownKey(
            f"expected a checkpoint of {checkpoint.origin!r} signed by a key that is known"
            f" ({have}), found one by {names}; give its public key"
        )
    return checkpoint, key


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_SIGNATURE).partition(" ")
    if not line.startswith(_SIGNATURE) or not space or not name:
        raise NoteError(f"expected a signature line, found {line[:60]!r}")
    signature = _from_base64(encoded, "a signature")
    if len(signature) <= 4:  # Of other kinds, such as witnesses', the length is theirs to say.
        raise NoteError(f"expected a signature after its key's hash, found {line[:60]!r}")
    return name, signature[:4], signature[4:]


def _parse_key(text: str, kind: str) -> tuple[str, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise NoteError(f"expected a {kind} key: name, hash and key with + in between")
    key = _from_base64(parts[2], f"a {kind} key")
    if len(key) != 33 or key[:1] != _ED25519:
        raise NoteError(f"expected a {kind} key of Ed25519")
    return _checked_name(parts[0]), key[1:]


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[^\s+\x00-\x1f\x7f\ud800-\udfff]{1,200}", name):
        raise NoteError(
            f"expected a key's name without spaces and plus signs, such as example.com/chat,"
            f" found {name[:60]!r}"
        )
    return name


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        data = None
    # Unused bits must be zero: there is one way to write a value.
    if data is None or _base64(data) != text:
        raise NoteError(f"expected {what} in base64")
    return data
