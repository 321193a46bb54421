"""Where the keys come from: a private key from a file or the environment, never the database."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core import conf
from ...core.errors import ConfigurationError
from .notes import NoteError, PublicKey, SigningKey

ENVIRONMENT = "TURNLOG_SIGNING_KEY"


def signing_key() -> SigningKey:
    """The project's private key. Raises ConfigurationError if there is none."""
    key = _find()
    if key is None:
        raise ConfigurationError(
            f"expected a signing key in the environment ({ENVIRONMENT}) or in the file that"
            " TURNLOG['SIGNING_KEY_FILE'] names, found neither; create one with"
            " `manage.py create_signing_key`"
        )
    return key


def known_keys(given: Iterable[str] = ()) -> list[PublicKey]:
    """The public keys for checking checkpoints: those given, those of the settings, and the signing
    key's own if there is one here. Raises ConfigurationError if one of them is malformed."""
    keys = [_public_key(text, "--key") for text in given]
    keys += [_public_key(text, "TURNLOG['PUBLIC_KEYS']") for text in conf.get().public_keys]
    if own := _find():
        keys.append(own.public)
    return list(dict.fromkeys(keys))


def create(name: str, path: Path) -> SigningKey:
    """Create a key and write it to a new file that only its owner can read.

    Raises NoteError if the name is not valid, FileExistsError if the file exists, OSError if it
    cannot be written; then there is none.
    """
    key = SigningKey.create(name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{key.secret()}\n")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise
    return key


def _find() -> SigningKey | None:
    if text := os.environ.get(ENVIRONMENT, "").strip():
        return _signing_key(text, f"{ENVIRONMENT} in the environment")
    path = conf.get().signing_key_file
    if not path:
        return None
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"expected a private key in {path}, as TURNLOG['SIGNING_KEY_FILE'] says, but it cannot"
            f" be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        ) from None
    return _signing_key(text, path)


def _signing_key(text: str, where: str) -> SigningKey:
    with _naming(where):
        return SigningKey.parse(text)


def _public_key(text: str, where: str) -> PublicKey:
    with _naming(where):
        return PublicKey.parse(text.strip())


@contextmanager
def _naming(where: str) -> Iterator[None]:
    try:
        yield
    except NoteError as error:
        raise ConfigurationError(f"{where}: {error}") from None
