"""Signed checkpoints kept outside the database, where its administrator does not reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from django.utils.module_loading import import_string

from ...core import conf
from ...core.errors import CheckpointNotKept, ConfigurationError
from ...core.files import whole_file
from .notes import Checkpoint, SignedNote

SUFFIX = ".checkpoint"


def keep(note: str) -> None:
    """Write a note to TURNLOG['CHECKPOINT_PATH'] and give it to TURNLOG['CHECKPOINT_HOOK'].

    Both may be given the same note again. Raises CheckpointNotKept.
    """
    settings = conf.get()
    try:
        if settings.checkpoint_path:
            path = _place(Path(settings.checkpoint_path), note)
            with whole_file(path, mode=0o644) as file:  # It is there to be compared, by anybody.
                file.write(note.encode())
        if settings.checkpoint_hook:
            _hook(settings.checkpoint_hook)(note)
    except ConfigurationError:
        raise
    except Exception as error:  # The hook is anybody's code.
        raise CheckpointNotKept(
            "the checkpoint is signed and stored, but could not be kept outside:"
            f" {type(error).__name__}: {error}; mend that and run checkpoint_log again"
        ) from error


def kept(*, last: bool = False) -> Iterator[tuple[str, str]]:
    """The notes that were kept at TURNLOG['CHECKPOINT_PATH'], each after its file's name.

    All of them in order of size, or only those of the greatest.
    """
    if not conf.get().checkpoint_path:
        return
    path = Path(conf.get().checkpoint_path)
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path] * path.is_file()
    for file in files[-1:] if last else files:
        yield str(file), read_note(file)


def read_note(path: Path) -> str:
    """A note from a file. Raises ConfigurationError."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"expected a signed checkpoint in {path}, but it cannot be read:"
            f" {getattr(error, 'strerror', None) or 'it is no text'}"
        ) from None


def _place(path: Path, note: str) -> Path:
    if not path.is_dir():
        return path
    signed = SignedNote.parse(note)
    size = Checkpoint.parse(signed.text).size
    # The key as well: after a rotation the same size may be signed again.
    return path / f"{size:012}-{signed.signatures[0][1].hex()}{SUFFIX}"


def _hook(dotted: str) -> Callable[[str], object]:
    try:
        return cast(Callable[[str], object], import_string(dotted))
    except ImportError as error:
        raise ConfigurationError(
            f"expected TURNLOG['CHECKPOINT_HOOK'] to name a function, found {dotted!r}: {error}"
        ) from error
