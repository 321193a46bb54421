"""Erases what refers to blobs with the payloads that did, and the blobs that nothing refers to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import models

from ...core.errors import BlobFileError, FilesNotDeleted, NotStored
from ..store import blob_files
from ..store.confirmed import require_stored
from ..tables.blob import Blob, BlobUse
from ..tables.database import log_database


def keys_used(stream_id: int, versions: Collection[int]) -> set[str]:
    """The digests of the blobs that some events refer to."""
    return {*_uses(stream_id, versions).values_list("blob_id", flat=True)}


def forget_uses(stream_id: int, versions: Collection[int]) -> None:
    """Delete what says that these events, whose payloads are gone, refer to blobs. Raises NotStored
    if some of it stays."""
    uses = _uses(stream_id, versions)
    count = uses.count()
    if count:
        require_stored("turnlog_blob_use", count, uses.delete()[0])
        if left := uses.count():
            raise NotStored("turnlog_blob_use", f"expected no use by erased events, found {left}")


def delete_unused(keys: Collection[str]) -> list[str]:
    """Delete the given blobs if no event refers to them any more. Returns the names of their files,
    which go after the commit: a rolled back erasure must not have deleted any. Raises NotStored if
    a blob stays.

    Lock them before looking for uses: an append that refers to one holds its lock until it commits
    (see `Payloads.keep`); so does another erasure.
    """
    using = log_database()
    blobs = Blob.objects.using(using).filter(pk__in=keys)
    list(blobs.order_by("pk").select_for_update().values_list("pk", flat=True))
    unused = blobs.filter(uses=None)
    gone = dict(unused.values_list("pk", "file"))
    blobs.filter(pk__in=gone).delete()
    if left := blobs.filter(pk__in=gone).count():
        raise NotStored("turnlog_blob", f"expected no blob of erased events, found {left}")
    return sorted(filter(None, gone.values()))


def delete_files(files: Sequence[str], receipt: Any) -> None:
    """Delete the files of erased blobs, after the commit. Raises FilesNotDeleted."""
    errors = []
    for name in files:
        try:
            blob_files.delete(name)
        except BlobFileError as error:
            errors.append(str(error))
    if errors:
        raise FilesNotDeleted(
            f"the events are erased, but {len(errors)} of {len(files)} files that they had in the"
            f" storage are not: {errors[0]}; then run `manage.py sweep_blobs`",
            receipt,
        )


def _uses(stream_id: int, versions: Collection[int]) -> models.QuerySet[BlobUse]:
    uses = BlobUse.objects.using(log_database())
    return uses.filter(stream_id=stream_id, version__in=versions)
