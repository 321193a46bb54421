"""Signed checkpoints kept outside the database, where its administrator does not reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from django.utils.module_loading import import_string

from ...core import conf
from ...core.errors import CheckpointNotKept, ConfigurationError
from ...core.files import whole_file
from .notes import Checkpoint, SignedNote


def keep(note: str) -> None:
    """Write a note to TURNLOG['CHECKPOINT_PATH'] and give it to TURNLOG['CHECKPOINT_HOOK'].

    Both may be given the same note again. Raises CheckpointNotKept.
    """
    settings = conf.get()
    try:
        if folder := _folder():
            path = folder / _name(note)
            if not path.exists():
                # It is there to be compared, by anybody.
                with whole_file(path, mode=0o644) as file:
                    file.write(note.encode())
        if settings.checkpoint_hook:
            _hook(settings.checkpoint_hook)(note)
    except ConfigurationError:
        raise
    except Exception as error:  # The hook is anybody's code.
        raise CheckpointNotKept(
            "nothing is signed, for the checkpoint could not be kept outside:"
            f" {type(error).__name__}: {error}; mend that and run checkpoint_log again"
        ) from error


def kept(*, last: bool = False) -> Iterator[tuple[str, str]]:
    """The notes that were kept at TURNLOG['CHECKPOINT_PATH'], each after its file's name.

    All of them in order of size, or only those of the greatest. Raises ConfigurationError.
    """
    if folder := _folder():
        # Not what else may lie there.
        files = sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
        for file in files[-1:] if last else files:
            yield str(file), read_note(file)


def read_note(path: Path) -> str:
    """A note from a file; what is no text in it is no note either. Raises ConfigurationError."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise ConfigurationError(
            f"expected a signed checkpoint in {path}, but it cannot be read: {error.strerror}"
        ) from None


def _folder() -> Path | None:
    """Where checkpoints are kept. Raises ConfigurationError where that is not there: an unmounted
    place must not look like one that holds nothing."""
    path = conf.get().checkpoint_path
    if path and not Path(path).is_dir():
        raise ConfigurationError(
            f"expected TURNLOG['CHECKPOINT_PATH'] to name a directory that is there, found {path};"
            " make it, or mount what belongs there"
        )
    return Path(path) if path else None


def _name(note: str) -> str:
    signed = SignedNote.parse(note)
    size = Checkpoint.parse(signed.text).size
    # The key as well: after a rotation the same size may be signed again.
    return f"{size:012}-{signed.signatures[0][1].hex()}.checkpoint"


_NAME = re.compile(r"[0-9]{12,}-[0-9a-f]{8}\.checkpoint")


def _hook(dotted: str) -> Callable[[str], object]:
    try:
        return cast(Callable[[str], object], import_string(dotted))
    except ImportError as error:
        raise ConfigurationError(
            f"expected TURNLOG['CHECKPOINT_HOOK'] to name a function, found {dotted!r}: {error}"
        ) from error
