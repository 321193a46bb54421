"""Keeps signed checkpoints outside the database, out of its administrator's reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ...core import conf
from ...core.errors import CheckpointNotKept, ConfigurationError
from ...core.files import whole_file
from .notes import Checkpoint, SignedNote


def keep(note: str) -> None:
    """Write a note to TURNLOG['CHECKPOINT_PATH'] and pass it to TURNLOG['CHECKPOINT_HOOK'].

    Both may get the same note twice. Raises CheckpointNotKept if one of them fails.
    """
    try:
        if folder := _folder():
            path = folder / _name(note)
            if not path.exists():
                # Readable for everyone: its purpose is to be compared.
                with whole_file(path, mode=0o644) as file:
                    file.write(note.encode())
        if hook := conf.function("CHECKPOINT_HOOK"):
            hook(note)
    except ConfigurationError:
        raise
    except Exception as error:  # The hook is the project's code and may raise anything.
        raise CheckpointNotKept(
            "no checkpoint was signed, because it could not be kept outside the database:"
            f" {type(error).__name__}: {error}; fix that and run checkpoint_log again"
        ) from error


def kept(*, last: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (file name, note) for each note in TURNLOG['CHECKPOINT_PATH'], in order of size.

    With `last`, yields the largest one only. Raises ConfigurationError if the directory is missing
    or a file cannot be read.
    """
    if folder := _folder():
        # Other files in the directory are ignored.
        files = sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
        for file in files[-1:] if last else files:
            yield str(file), read_note(file)


def read_note(path: Path) -> str:
    """The text of a note's file. Bytes that are not UTF-8 are replaced; the note then fails.

    Raises ConfigurationError if the file cannot be read.
    """
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise ConfigurationError(
            f"expected a signed checkpoint in {path}, but it cannot be read: {error.strerror}"
        ) from None


def _folder() -> Path | None:
    """The directory for checkpoints; None if the settings name none.

    Raises ConfigurationError if it does not exist: an unmounted directory must not look empty.
    """
    path = conf.get().checkpoint_path
    if path and not Path(path).is_dir():
        raise ConfigurationError(
            f"expected TURNLOG['CHECKPOINT_PATH'] to name an existing directory, found {path};"
            " create it, or mount the volume that it is on"
        )
    return Path(path) if path else None


def _name(note: str) -> str:
    signed = SignedNote.parse(note)
    size = Checkpoint.parse(signed.text).size
    # With the key's id: after a rotation, the same size may be signed again.
    return f"{size:012}-{signed.signatures[0][1].hex()}.checkpoint"


_NAME = re.compile(r"[0-9]{12,}-[0-9a-f]{8}\.checkpoint")
