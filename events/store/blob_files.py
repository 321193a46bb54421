"""Blobs in one of Django's storages: files that nobody changes, under names that say nothing.

A file is there before the transaction that refers to it commits, and is deleted after the one that
erases it has committed. So what is committed never lacks its file, and a process that is killed in
between leaves a file that no blob names: `sweep_blobs` deletes it.
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Iterator
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone

from ...core import conf
from ...core.errors import BlobFileError

FOLDER = "turnlog"


def is_used() -> bool:
    """Return whether new blobs are files: the settings name a storage."""
    return bool(conf.get().blob_storage)


def write(data: bytes) -> str:
    """Write a new file and return its name. Raises BlobFileError."""
    name = uuid.uuid4().hex
    try:
        stored: str = _storage().save(f"{FOLDER}/{name[:2]}/{name}", ContentFile(data))
        _onto_disk(stored)
    except Exception as error:
        raise BlobFileError("a file could not be written", error) from error
    return stored


def read(name: str, most: int | None = None) -> bytes:
    """Return a file's bytes, or the first `most` of them. Raises BlobFileError."""
    return b"".join(chunks(name, most))


def chunks(name: str, most: int | None = None) -> Iterator[bytes]:
    """Yield a file's bytes, some at a time. Raises BlobFileError."""
    try:
        with _storage().open(name) as file:
            while data := file.read(_AT_ONCE if most is None else min(most, _AT_ONCE)):
                yield data
                most = None if most is None else most - len(data)
    except Exception as error:
        raise BlobFileError(f"the file {name} could not be read", error) from error


def delete(name: str) -> None:
    """Delete a file, if it is there. Raises BlobFileError."""
    try:
        _storage().delete(name)
    except Exception as error:
        raise BlobFileError(f"the file {name} could not be deleted", error) from error


def older_than(age: dt.timedelta) -> Iterator[str]:
    """Yield the names of the files that were last written before that. Raises BlobFileError."""
    before = timezone.now() - age
    try:
        folders, _ = _storage().listdir(FOLDER)
        for folder in folders:
            for file in _storage().listdir(f"{FOLDER}/{folder}")[1]:
                name = f"{FOLDER}/{folder}/{file}"
                if _storage().get_modified_time(name) < before:
                    yield name
    except FileNotFoundError:
        return  # Nothing was ever written.
    except Exception as error:
        raise BlobFileError("the storage could not be listed", error) from error


_AT_ONCE = 1_000_000


def _storage() -> Any:
    return storages[conf.get().blob_storage or "default"]


def _onto_disk(name: str) -> None:
    """Let a file survive a power cut, if it is one of this machine's."""
    try:
        path = _storage().path(name)
    except NotImplementedError:
        return
    for each, flags in ((path, os.O_RDONLY), (os.path.dirname(path), os.O_RDONLY)):
        descriptor = os.open(each, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
