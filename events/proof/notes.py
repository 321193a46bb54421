"""Signed checkpoints, in the formats signed-note and tlog-checkpoint of C2SP (c2sp.org).

A note's text ends with a line feed. An empty line follows, then the signatures, one line each:

    — NAME BASE64(first 4 bytes of the key's hash + signature)

A checkpoint's text has one line each for the log's origin, the size of the tree in decimal, and the
root in base64. A key's hash is SHA-256(NAME + line feed + 0x01 + public key). A public key is
written NAME+HASH+BASE64(0x01 + key), with the hash's first 4 bytes in hex. 0x01 stands for
Ed25519 (RFC 8032), the only kind supported. Private keys have the format of Go's sumdb/note.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_SIGNATURE = "\u2014 "  # An em dash and a space.
MAX_LENGTH = 16_384
"""Maximum characters of a note; turnlog's own have some 200."""


def _ed25519() -> Any:
    # lazy: the offline verifier runs without the package, and says that it needs it
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519


class NoteError(ValueError):
    """A text that should be a key or a checkpoint and is malformed or not validly signed."""


class UnknownKey(NoteError):
    """A checkpoint that may be genuine, but that no known key has signed."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 key for checking a log's checkpoints; `key` is 32 bytes."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """The 4 bytes by which a signature names its key."""
        return sha256(f"{self.name}\n".encode() + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.key)}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Parse a key from its text. Raises NoteError if the text is malformed."""
        if text.startswith(_PRIVATE):
            raise NoteError("expected a public key, found a private one; keep that one secret")
        name, key = _parse_key(text, "public")
        found = cls(name, key)
        if str(found) != text:
            raise NoteError("expected a public key, found one with the hash of another key")
        return found

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether `signature`, 64 bytes, is this key's signature of `text`."""
        from cryptography.exceptions import InvalidSignature  # lazy: see _ed25519

        try:
            _ed25519().Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text.encode())
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
        """Create a key. Raises NoteError if the name is not valid."""
        return cls(_checked_name(name), _ed25519().Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Parse a key from its secret text. Raises NoteError, which never shows any of the text."""
        if not text.startswith(_PRIVATE):
            raise NoteError(
                f"expected a private key, which begins with {_PRIVATE}, found something else"
            )
        key = cls(*_parse_key(text.removeprefix(_PRIVATE), "private"))
        if key.secret() != text:
            raise NoteError("expected a private key, found one with the hash of another key")
        return key

    @property
    def public(self) -> PublicKey:
        private = _ed25519().Ed25519PrivateKey.from_private_bytes(self.seed)
        return PublicKey(self.name, private.public_key().public_bytes_raw())

    def secret(self) -> str:
        """The key's secret text, in the form that files hold."""
        return f"{_PRIVATE}{self.name}+{self.public.id.hex()}+{_base64(_ED25519 + self.seed)}"

    def sign(self, text: str) -> str:
        """Sign a text that ends with a line feed; returns the note: text and signature."""
        signature = _ed25519().Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return f"{text}\n{_SIGNATURE}{self.name} {_base64(self.public.id + signature)}\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's statement about itself: the root over its first `size` events."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Parse a checkpoint from a note's text. Raises NoteError if the text is malformed."""
        lines = text.split("\n")
        # Lines after the third are extensions; turnlog writes none and ignores them.
        if len(lines) < 4 or not lines[0] or lines[-1]:
            raise NoteError(
                f"expected a checkpoint's lines (origin, size, root), found {text[:60]!r}"
            )
        origin, size, root = lines[:3]
        if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size):
            raise NoteError(f"expected a checkpoint's size in decimal, found {size[:40]!r}")
        if int(size) >= 1 << 63:
            raise NoteError(f"expected a checkpoint's size that fits into 63 bits, found {size}")
        found = cls(origin, int(size), _from_base64(root, "a checkpoint's root"))
        if len(found.root) != 32:
            raise NoteError(f"expected a root of 32 bytes, found {len(found.root)}")
        return found


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A parsed note: its text, and each signature as (key name, key id, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, note: str) -> SignedNote:
        """Parse a whole note. Raises NoteError if it is malformed."""
        if len(note) > MAX_LENGTH:
            raise NoteError(
                f"expected a note of at most {MAX_LENGTH} characters, found {len(note)}"
            )
        text, empty_line, signed = note.rpartition("\n\n")
        if not empty_line or not signed.endswith("\n"):
            raise NoteError(
                "expected a signed note (text, an empty line, signatures), found something else"
            )
        return cls(f"{text}\n", tuple(_signature(line) for line in signed[:-1].split("\n")))

    def signed_by(self, keys: Iterable[PublicKey]) -> PublicKey | None:
        """The first of `keys` that has signed the text; None if none has.

        Ignores signatures by other keys. Raises NoteError if a signature by one of `keys` is false.
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

    The key's name must be the log's origin. Raises NoteError if the note is malformed or a
    signature is false, UnknownKey if none of the keys has signed it.
    """
    signed = SignedNote.parse(note)
    checkpoint = Checkpoint.parse(signed.text)
    known = list(keys)
    key = signed.signed_by(key for key in known if key.name == checkpoint.origin)
    if key is None:
        names = ", ".join(f"{name}+{key_id.hex()}" for name, key_id, _ in signed.signatures)
        have = ", ".join(f"{key.name}+{key.id.hex()}" for key in known) or "none"
        raise UnknownKey(
            f"expected a checkpoint of {checkpoint.origin!r} signed by a known key ({have}), found"
            f" one signed by {names}; add its public key"
        )
    return checkpoint, key


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_SIGNATURE).partition(" ")
    if not line.startswith(_SIGNATURE) or not space or not name:
        raise NoteError(f"expected a signature line, found {line[:60]!r}")
    signature = _from_base64(encoded, "a signature")
    if len(signature) <= 4:  # Other kinds of signature, such as a witness's, have other lengths.
        raise NoteError(f"expected a signature after its key's hash, found {line[:60]!r}")
    return name, signature[:4], signature[4:]


def _parse_key(text: str, kind: str) -> tuple[str, bytes]:
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise NoteError(
            f"expected a {kind} key (name, hash and key, joined by +), found something else"
        )
    key = _from_base64(parts[2], f"a {kind} key")
    if len(key) != 33 or key[:1] != _ED25519:
        raise NoteError(f"expected a {kind} key of the kind Ed25519, found another kind")
    return _checked_name(parts[0]), key[1:]


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[^\s+\x00-\x1f\x7f\ud800-\udfff]{1,200}", name):
        raise NoteError(
            f"expected a key's name without spaces or plus signs, such as example.com/chat,"
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
    # Unused bits must be zero: there is exactly one way to write a value.
    if data is None or _base64(data) != text:
        raise NoteError(f"expected {what} in base64, found something else")
    return data
