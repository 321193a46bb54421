"""Which file a `dataframe_path` means: one of the project's, with an extension that is known."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings

from ...core import conf
from ...core.errors import TableError

EXTENSIONS = (".csv", ".xlsx", ".xls", ".parquet")

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/|data:")


def found(path: str | os.PathLike[str] | None) -> Path:
    """Return the file that a path means.

    A relative path is looked for in the current folder, in `BASE_DIR`, and in the folder of each
    installed app, in this order. An absolute one must be in one of these, or in `MEDIA_ROOT`.
    Raises TableError.
    """
    if path is None or not os.fspath(path):
        raise TableError(
            "expected dataframe_path to name a file, found none; set it, or override"
            " get_dataframe()"
        )
    given = os.fspath(path)
    if isinstance(given, bytes) or "\0" in given:
        raise TableError("expected dataframe_path to be a path, found bytes or a NUL in it")
    if _URL.match(given):
        raise TableError(
            "expected dataframe_path to be a file of the project's, found the address"
            f" {given!r:.100}; download the file, or override get_dataframe()"
        )
    if Path(given).suffix.lower() not in EXTENSIONS:
        raise TableError(
            f"expected dataframe_path to end with {', '.join(EXTENSIONS)}, found {given!r:.100}"
        )
    return _checked(_located(given), given)


def _located(given: str) -> Path:
    folders = list(_folders())
    for folder in folders:
        place = Path(folder, given)  # An absolute path stays as it is.
        if os.path.lexists(place):
            break
    else:
        where = ", ".join(map(str, folders[:3]))
        raise TableError(
            f"expected dataframe_path to name a file, found nothing at {given!r:.200}; looked in"
            f" {where} and the folders of the installed apps"
        )
    real = Path(os.path.realpath(place))
    if not any(real.is_relative_to(os.path.realpath(folder)) for folder in _allowed()):
        raise TableError(
            f"expected dataframe_path to name a file of the project's, found {given!r:.200}, which"
            " is outside of BASE_DIR, MEDIA_ROOT and the folders of the installed apps"
        )
    return real


def _checked(place: Path, given: str) -> Path:
    largest = conf.get().table_bytes
    try:
        status = place.stat()
    except OSError as error:
        raise TableError(f"{given!r:.200} cannot be read ({type(error).__name__})") from error
    if not stat.S_ISREG(status.st_mode):
        raise TableError(f"expected {given!r:.200} to be a file, found a folder or a device")
    if status.st_size > largest:
        raise TableError(
            f"expected {given!r:.200} to have at most {largest:,} bytes (TURNLOG['TABLE_BYTES']),"
            f" found {status.st_size:,}"
        )
    return place


def _folders() -> Iterator[Path]:
    yield Path.cwd()
    if base := getattr(settings, "BASE_DIR", None):
        yield Path(base)
    yield from (Path(app.path) for app in apps.get_app_configs())


def _allowed() -> Iterator[Path]:
    yield from _folders()
    if media := settings.MEDIA_ROOT:
        yield Path(media)
